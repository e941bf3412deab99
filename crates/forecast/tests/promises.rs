//! What the forecast promises, on histories whose truth is known.

use forecast::answer::{answer, even_ladder};
use forecast::backtest::{Backtest, backtest, fit};
use forecast::feature::{Feature, Level, Look};
use forecast::history::{Column, Deal, History, Move, Place, Seconds, Value};
use forecast::learned::{Learned, Voice};
use forecast::made_up::{Kind, make_up};
use forecast::measure;
use forecast::revenue::Window;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

fn day(day: i64) -> Seconds {
    day * 86_400
}

fn quarters(history: &History, days: i64) -> Backtest {
    let windows =
        (0..days / 91 - 1).map(|it| Window { from: day(it * 91), to: day((it + 1) * 91) });
    let windows: Vec<Window> = windows.skip(3).collect();
    let windows = fit(history, &windows, day(days));
    assert!(windows.len() >= 3);
    backtest(history, &windows, day(days), 1)
}

#[test]
fn where_deals_tell_how_they_will_end_it_is_better_than_what_everybody_knows() {
    let tested = quarters(&make_up(Kind::Guided, 2_500, 820, 11), 820);
    let [ours, constant, stages, weighted, _] = &tested.records;
    let loss = |it: &forecast::backtest::Record| measure::log_loss(&it.outcomes);
    assert!(loss(ours) < 0.95 * loss(stages), "{} {}", loss(ours), loss(stages));
    assert!(loss(ours) < 0.85 * loss(constant));
    assert!(measure::calibration_error(&ours.outcomes) < 0.05);
    let error = |it: &forecast::backtest::Record| measure::percentage_error(&it.revenue);
    // A few windows say little of how far off it is on average, but no window is off by far.
    assert!(error(ours) < error(weighted) + 0.1, "{} {}", error(ours), error(weighted));
    assert!(measure::coverage(&ours.revenue) >= 0.5);
}

#[test]
fn where_nothing_tells_how_deals_will_end_it_does_no_harm() {
    let tested = quarters(&make_up(Kind::Blind, 2_000, 640, 5), 640);
    let [ours, constant, ..] = &tested.records;
    let (ours, constant) =
        (measure::log_loss(&ours.outcomes), measure::log_loss(&constant.outcomes));
    assert!(ours <= 1.002 * constant, "{ours} {constant}");
    assert!(tested.rounds.iter().all(|round| round.voice <= Voice::Open));
}

#[test]
fn the_same_history_and_seed_give_the_same_answer_and_another_history_another() {
    let history = make_up(Kind::Guided, 800, 500, 3);
    let window = Window { from: day(500), to: day(590) };
    let ladder = even_ladder(4);
    let one = answer(history.clone(), &ladder, day(500), window, 7);
    let other = answer(history.clone(), &ladder, day(500), window, 7);
    assert_eq!((&one.deals, &one.revenue), (&other.deals, &other.revenue));
    let [low, middle, high] = one.revenue.percentiles;
    assert!(0.0 < low && low < middle && middle < high);
    assert!(one.deals.iter().all(|it| {
        (0.0..=1.0).contains(&it.win_probability)
            && it.win_probability_in_window <= it.win_probability
    }));
}

#[test]
fn nothing_that_came_later_is_known_to_a_forecast() {
    let history = make_up(Kind::Guided, 800, 500, 3);
    let (now, window) = (day(400), Window { from: day(400), to: day(490) });
    let ladder = even_ladder(4);
    let pruned = answer(history.as_of(now), &ladder, now, window, 1);
    // The same past with another future.
    let mut other = history.as_of(now);
    for deal in &mut other.deals {
        if deal.standing(now).is_some() {
            deal.moves.push(Move { to: Place::Won, at: now + 1 });
        }
    }
    let told = answer(other.as_of(now), &ladder, now, window, 1);
    assert_eq!((&pruned.deals, &pruned.revenue), (&told.deals, &told.revenue));
}

#[test]
fn the_reasons_are_what_is_behind_the_chances() {
    // A history in which the source decides nearly everything.
    let mut rng = StdRng::seed_from_u64(9);
    let made = (0..1_500).map(|it| {
        let source = u32::try_from(it % 3).unwrap();
        let is_won = rng.random_bool([0.1, 0.5, 0.9][usize::try_from(source).unwrap()]);
        let end = if it < 1_400 { Some(it / 4 + 20) } else { None };
        let to = |place, at: i64| Move { to: place, at: day(at) };
        let mut moves = vec![to(Place::Stage(0), it / 4)];
        moves.extend(end.map(|end| to(if is_won { Place::Won } else { Place::Lost }, end)));
        let values = vec![Value::Category(source)];
        Deal { created_at: day(it / 4), amount: Some(100.0), moves, values, ..Deal::default() }
    });
    let categories = ["ads", "fair", "friends"].map(str::to_owned).to_vec();
    let columns = vec![Column { name: "source".into(), categories }];
    let history = History {
        stages: vec!["open".into()],
        columns,
        deals: made.collect(),
        ..History::default()
    };
    let now = day(375);
    let learned = Learned::learn(&history, &[0.5], now, 20_000, 1);
    let reasons = |deal: usize| {
        let look = Look::of(&history.deals[deal], now).unwrap();
        (learned.outlook(&look, Voice::Features), learned.reasons(&look, Voice::Features))
    };
    for (deal, source, raises) in [(1_407, 0, false), (1_409, 2, true)] {
        let (outlook, reasons) = reasons(deal);
        let reason = &reasons[0];
        assert_eq!((reason.feature, &reason.level), (Feature::Column(0), &Level::One(source)));
        assert_eq!(reason.effect > 0.2, raises, "{reasons:?}");
        assert_eq!(reason.effect < -0.2, !raises, "{reasons:?}");
        assert!((450..470).contains(&reason.evidence), "{reasons:?}");
        assert_eq!(outlook.win_probability() > 0.5, raises);
    }
    let (_, even) = reasons(1_408);
    assert!(even.iter().all(|it| it.effect.abs() < 0.1), "{even:?}");
}

#[test]
fn with_little_or_no_past_the_stages_speak_and_nothing_fails() {
    let window = Window { from: day(100), to: day(190) };
    let empty = answer(History::default(), &[], day(100), window, 1);
    assert_eq!((empty.choice.voice, empty.revenue.percentiles), (Voice::Ladder, [0.0; 3]));
    let to = |place, at| Move { to: place, at: day(at) };
    let open = Deal {
        created_at: day(90),
        amount: Some(1_000.0),
        moves: vec![to(Place::Stage(1), 90)],
        ..Deal::default()
    };
    let stages = vec!["lead".to_owned(), "proposal".to_owned()];
    let history = History { stages, deals: vec![open.clone()], ..History::default() };
    let told = answer(history.clone(), &[0.2, 0.6], day(100), window, 1);
    assert_eq!(told.choice.voice, Voice::Ladder);
    assert!((told.deals[0].win_probability - 0.6).abs() < 1e-9);
    // Twelve that were won from there count for something beside twenty that were promised.
    let won = Deal {
        moves: vec![to(Place::Stage(1), 10), to(Place::Won, 40)],
        created_at: day(10),
        ..open.clone()
    };
    let history = History { deals: [vec![won; 12], vec![open]].concat(), ..history };
    let told = answer(history.clone(), &[0.2, 0.6], day(100), window, 1);
    assert_eq!(told.choice.voice, Voice::ShrunkLadder);
    assert!((told.deals[0].win_probability - (12.0 + 12.0) / 32.0).abs() < 1e-9);
}

#[test]
fn where_losses_are_not_written_down_what_stands_for_long_is_not_counted_on() {
    let tested = quarters(&make_up(Kind::NeverLost, 2_000, 640, 2), 640);
    let ours = &tested.records[0];
    assert!(measure::percentage_error(&ours.revenue) < 0.35);
    assert!(measure::calibration_error(&ours.in_window) < 0.1);
}

#[test]
fn a_history_of_hundreds_of_stages_and_columns_is_learned_from_all_the_same() {
    let mut rng = StdRng::seed_from_u64(3);
    let (stages, columns) = (300_u16, 300);
    let deal = |it: i64| {
        let made = it / 3;
        let mut moves = vec![Move {
            to: Place::Stage(u16::try_from(it % i64::from(stages)).unwrap()),
            at: day(made),
        }];
        if it < 700 {
            let to = if rng.random_bool(0.4) { Place::Won } else { Place::Lost };
            moves.push(Move { to, at: day(made + 10) });
        }
        let values = (0..columns).map(|_| Value::Category(rng.random_range(0..30))).collect();
        Deal { created_at: day(made), amount: Some(1.0), moves, values, ..Deal::default() }
    };
    let deals = (0..730).map(deal).collect();
    let names = |what: &str, count: u16| (0..count).map(|it| format!("{what} {it}")).collect();
    let column = |name: String| Column { name, categories: names("category", 30) };
    let columns: Vec<String> = names("column", columns);
    let columns = columns.into_iter().map(column).collect();
    let history = History { stages: names("stage", stages), columns, deals, ..History::default() };
    let window = Window { from: day(244), to: day(260) };
    let told = answer(history.clone(), &even_ladder(usize::from(stages)), day(244), window, 1);
    assert_eq!(told.deals.len(), 30);
    assert!(told.deals.iter().all(|it| it.win_probability.is_finite()));
}

/// A book that is brought in on a day, without dates: so many that have closed, half of them won, and 300 that are open.
fn brought_in(closed: usize, on: i64) -> History {
    let to = |place, at| Move { to: place, at: day(at) };
    let deal =
        |moves| Deal { created_at: day(on), amount: Some(300_000.0), moves, ..Deal::default() };
    let place = |it: usize| if it.is_multiple_of(2) { Place::Won } else { Place::Lost };
    let ended = (0..closed).map(|it| deal(vec![to(place(it), on)]));
    let open = (0..300).map(|_| deal(vec![to(Place::Stage(1), on)]));
    let stages = vec!["lead".to_owned(), "proposal".to_owned()];
    History { stages, deals: ended.chain(open).collect(), ..History::default() }
}

#[test]
fn what_nobody_saw_open_says_nothing_of_what_is_open() {
    for closed in [0, 12, 60, 500] {
        let history = brought_in(closed, 700);
        for now in [700, 701, 708, 730] {
            let window = Window { from: day(now), to: day(now + 30) };
            let told = answer(history.clone(), &[0.2, 0.6], day(now), window, 1);
            assert_eq!(told.choice.voice, Voice::Ladder);
            let it = told.deals[0];
            assert!((it.win_probability - 0.6).abs() < 1e-9);
            // A month is no long time for a deal, as far as anybody knows.
            assert!(it.win_probability_in_window < 0.4 * 0.6, "{now}: {it:?}");
        }
    }
}

#[test]
fn as_soon_as_some_were_seen_to_end_they_say_how_long_it_takes() {
    let mut history = brought_in(500, 700);
    // Twelve of those that are open are won after three weeks.
    for deal in history.deals.iter_mut().rev().take(12) {
        deal.moves.push(Move { to: Place::Won, at: day(721) });
    }
    let window = Window { from: day(730), to: day(760) };
    let told = answer(history, &[0.2, 0.6], day(730), window, 1);
    assert_eq!(told.choice.voice, Voice::ShrunkLadder);
    let it = told.deals[0];
    assert!((it.win_probability - (12.0 + 12.0) / 32.0).abs() < 1e-9, "{it:?}");
    assert!((0.01..0.4).contains(&it.win_probability_in_window), "{it:?}");
    let new = told.revenue.bottom_up.new_business;
    assert!(new <= 0.0, "{new}");
}
