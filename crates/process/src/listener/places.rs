//! The places for connections: so many in all, and so many for each address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use metrics::{Counter, Gauge};

use super::Bounds;

/// Counts `connections_open{listener}`, and whom there was no place for as `connections_refused_total{listener,reason}`: in all
/// (`total`), or for its address (`address`).
pub(crate) struct Places {
    most: usize,
    most_of_one: usize,
    taken: Mutex<Taken>,
    open: Gauge,
    too_many: Counter,
    too_many_of_one: Counter,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place that is taken, until it is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    address: Option<IpAddr>,
}

impl Places {
    pub(crate) fn new(listener: &'static str, bounds: &Bounds) -> Self {
        let refused = |reason: &'static str| metrics::counter!("connections_refused_total", "listener" => listener, "reason" => reason);
        Self {
            most: bounds.most,
            most_of_one: bounds.most_of_one,
            taken: Mutex::default(),
            open: metrics::gauge!("connections_open", "listener" => listener),
            too_many: refused("total"),
            too_many_of_one: refused("address"),
        }
    }

    /// A place, for a client at `address` if its address is counted. `None` if there is none.
    pub(crate) fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Place> {
        let address = address.map(network);
        let mut taken = self.taken();
        if taken.all >= self.most {
            self.too_many.increment(1);
            return None;
        }
        if let Some(address) = address {
            let of_one = taken.by_address.entry(address).or_default();
            if *of_one >= self.most_of_one {
                self.too_many_of_one.increment(1);
                return None;
            }
            *of_one += 1;
        }
        taken.all += 1;
        self.open.increment(1.0);
        Some(Place { places: Arc::clone(self), address })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Nothing panics while it is held.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        if let Some(address) = self.address
            && let Some(of_one) = taken.by_address.get_mut(&address)
        {
            *of_one -= 1;
            if *of_one == 0 {
                taken.by_address.remove(&address);
            }
        }
        self.places.open.decrement(1.0);
    }
}

/// Whoever has one address of IPv6 most likely has all of its network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics_exporter_prometheus::PrometheusBuilder;

    fn places(most: usize, most_of_one: usize) -> Arc<Places> {
        Arc::new(Places::new("main", &Bounds { most, most_of_one, ..Bounds::default() }))
    }

    fn from(places: &Arc<Places>, address: &str) -> Option<Place> {
        places.take(Some(address.parse().unwrap()))
    }

    #[test]
    fn an_address_has_its_share_and_gets_it_back() {
        let places = places(10, 2);
        let first = from(&places, "192.0.2.1");
        let second = from(&places, "192.0.2.1");
        assert!(first.is_some() && second.is_some());
        assert!(from(&places, "192.0.2.1").is_none());
        assert!(from(&places, "192.0.2.2").is_some());
        // Who is not counted.
        assert!((0..9).map(|_| places.take(None)).all(|it| it.is_some()));
        drop(first);
        assert!(from(&places, "192.0.2.1").is_some());
        drop(second);
        assert!(places.taken().by_address.is_empty(), "nothing is remembered of who is gone");
    }

    #[test]
    fn a_network_of_64_bits_is_one_address() {
        let places = places(10, 1);
        let _held = from(&places, "2001:db8::1").unwrap();
        assert!(from(&places, "2001:db8::ffff:1").is_none());
        assert!(from(&places, "2001:db8:0:1::1").is_some());
    }

    #[test]
    fn there_is_an_end_to_all_places_together() {
        let places = places(2, 2);
        let first = places.take(None);
        let _second = from(&places, "192.0.2.1");
        assert!(places.take(None).is_none());
        assert!(from(&places, "192.0.2.2").is_none());
        drop(first);
        assert!(from(&places, "192.0.2.2").is_some());
    }

    #[test]
    fn what_is_open_and_who_was_refused_is_counted() {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            let places = places(2, 1);
            let _held = (from(&places, "192.0.2.1"), places.take(None));
            assert!(places.take(None).is_none());
            let places =
                Arc::new(Places::new("ops", &Bounds { most_of_one: 0, ..Bounds::default() }));
            assert!(from(&places, "192.0.2.1").is_none());
            let text = recorder.handle().render();
            for line in [
                r#"connections_open{listener="main"} 2"#,
                r#"connections_refused_total{listener="main",reason="total"} 1"#,
                r#"connections_refused_total{listener="ops",reason="address"} 1"#,
            ] {
                assert!(text.contains(line), "{line} is not in {text}");
            }
        });
    }
}
