//! Who may do what, as the product page says, and what each of thirteen callers is therefore answered.

/// Who calls. The record in question is a rep's, who is in a team; visibility is `team`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Principal {
    /// Without a token.
    None,
    /// With the owner's, of yesterday.
    Expired,
    /// With one of the owner's that is for somebody else.
    WrongAudience,
    /// With that of a user who was deactivated.
    Disabled,
    /// Whose record it is: a rep.
    Owner,
    /// A rep of the owner's team.
    SameTeam,
    /// A rep of another team.
    OtherTeam,
    /// Who leads the owner's team.
    ManagerOfTeam,
    /// Who leads another.
    ManagerOfAnother,
    /// An administrator.
    Admin,
    /// A viewer of another team.
    Viewer,
    /// A program with a key of the owner's that reads.
    ReadKey,
    /// A program with a key of the owner's that writes.
    WriteKey,
}

pub(super) const PRINCIPALS: [Principal; 13] = [
    Principal::None,
    Principal::Expired,
    Principal::WrongAudience,
    Principal::Disabled,
    Principal::Owner,
    Principal::SameTeam,
    Principal::OtherTeam,
    Principal::ManagerOfTeam,
    Principal::ManagerOfAnother,
    Principal::Admin,
    Principal::Viewer,
    Principal::ReadKey,
    Principal::WriteKey,
];

/// What an operation asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// Nothing: it is how one gets a token, or public.
    Open,
    /// That they may read.
    Readers,
    /// That they may change what is their own, as viewers may too.
    OwnThings,
    /// That they signed in themselves, and may change what is their own.
    OwnSession,
    /// That they may make sales records.
    Sellers,
    /// That they are a manager or an administrator.
    Managers,
    /// That they are an administrator.
    Admins,
    /// That they are the owner, as a user, or an administrator.
    Oneself,
    /// That they see the record.
    SeesRecord,
    /// That they may change the record.
    ChangesRecord,
    /// That they see the record's customer, as who sees the record does.
    SeesCustomer,
    /// That they may change that customer, as who may change the record may.
    ChangesCustomer,
    /// That they see that customer's contact.
    SeesContact,
    /// That they may change that contact.
    ChangesContact,
    /// That they see the record and are an administrator.
    AdminOfRecord,
    /// That they are one of our services.
    Services,
}

/// What a caller is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// They get through; whatever may be wrong with the request otherwise.
    Passes,
    /// 401.
    Unauthenticated,
    /// 403.
    Denied,
    /// 404, as if it were not there.
    Hidden,
}

impl Policy {
    /// Whether absent and hidden are to be told apart from getting through.
    pub(super) fn is_about_a_record(self) -> bool {
        matches!(
            self,
            Self::SeesRecord
                | Self::ChangesRecord
                | Self::SeesCustomer
                | Self::ChangesCustomer
                | Self::SeesContact
                | Self::ChangesContact
                | Self::AdminOfRecord
        )
    }

    pub(super) fn outcome(self, principal: Principal) -> Outcome {
        use Outcome::{Denied, Hidden, Passes, Unauthenticated};
        use Principal as P;
        if self == Self::Open {
            return Passes;
        }
        if matches!(principal, P::None | P::Expired | P::WrongAudience | P::Disabled) {
            return Unauthenticated;
        }
        let passes = |passes| if passes { Passes } else { Denied };
        let sees = !matches!(principal, P::OtherTeam | P::ManagerOfAnother | P::Viewer);
        let is_admin = principal == P::Admin;
        let is_key = matches!(principal, P::ReadKey | P::WriteKey);
        match self {
            Self::Open | Self::Readers => Passes,
            Self::OwnThings => passes(principal != P::ReadKey),
            Self::OwnSession => passes(!is_key),
            Self::Sellers => passes(!matches!(principal, P::ReadKey | P::Viewer)),
            Self::Managers => {
                passes(is_admin || matches!(principal, P::ManagerOfTeam | P::ManagerOfAnother))
            }
            Self::Admins => passes(is_admin),
            Self::Oneself => passes(matches!(principal, P::Owner | P::WriteKey | P::Admin)),
            Self::Services => Denied,
            Self::SeesRecord | Self::SeesCustomer | Self::SeesContact if sees => Passes,
            Self::ChangesRecord | Self::ChangesCustomer | Self::ChangesContact if sees => {
                passes(!matches!(principal, P::SameTeam | P::ReadKey))
            }
            Self::AdminOfRecord if sees => passes(is_admin),
            Self::SeesRecord
            | Self::ChangesRecord
            | Self::SeesCustomer
            | Self::ChangesCustomer
            | Self::SeesContact
            | Self::ChangesContact
            | Self::AdminOfRecord => Hidden,
        }
    }
}
