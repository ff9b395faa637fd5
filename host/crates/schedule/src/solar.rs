//! Events of the sun at a place: the same events as Celery's, found by its formulas for the horizon.

mod sun;

use std::fmt;

use jiff::Timestamp;

use self::sun::{DAY, Place};
use crate::Invalid;

/// How many days are searched for an event that does not happen every day, as Celery does.
const SEARCHED: usize = 366;

/// An event that was found is rounded up to a second, and computed anew from a later start: one this
/// close behind the start is the one that the start itself came from.
const SAME: f64 = 2.0;

/// A schedule by the sun.
#[derive(Clone, Debug, PartialEq)]
pub struct Solar {
    event: Event,
    latitude: f64,
    longitude: f64,
}

/// What the sun does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    DawnAstronomical,
    DawnNautical,
    DawnCivil,
    Sunrise,
    SolarNoon,
    Sunset,
    DuskCivil,
    DuskNautical,
    DuskAstronomical,
}

impl Event {
    /// All of them, in the order of a day.
    pub const ALL: [Event; 9] = [
        Event::DawnAstronomical,
        Event::DawnNautical,
        Event::DawnCivil,
        Event::Sunrise,
        Event::SolarNoon,
        Event::Sunset,
        Event::DuskCivil,
        Event::DuskNautical,
        Event::DuskAstronomical,
    ];

    /// Celery's name.
    pub fn name(self) -> &'static str {
        match self {
            Event::DawnAstronomical => "dawn_astronomical",
            Event::DawnNautical => "dawn_nautical",
            Event::DawnCivil => "dawn_civil",
            Event::Sunrise => "sunrise",
            Event::SolarNoon => "solar_noon",
            Event::Sunset => "sunset",
            Event::DuskCivil => "dusk_civil",
            Event::DuskNautical => "dusk_nautical",
            Event::DuskAstronomical => "dusk_astronomical",
        }
    }

    /// The event of Celery's name.
    pub fn named(name: &str) -> Option<Event> {
        Event::ALL.into_iter().find(|event| event.name() == name)
    }

    /// Which point of the sun crosses which height, and in which direction; noon crosses none.
    fn crossing(self) -> Option<Crossing> {
        let (rising, height, rim) = match self {
            Event::DawnAstronomical => (true, -18.0, false),
            Event::DawnNautical => (true, -12.0, false),
            Event::DawnCivil => (true, -6.0, false),
            Event::Sunrise => (true, REFRACTION, true),
            Event::SolarNoon => return None,
            Event::Sunset => (false, REFRACTION, true),
            Event::DuskCivil => (false, -6.0, false),
            Event::DuskNautical => (false, -12.0, false),
            Event::DuskAstronomical => (false, -18.0, false),
        };
        Some(Crossing { rising, height, rim })
    }
}

/// The air lifts the sun by 34 minutes of arc at the horizon.
const REFRACTION: f64 = -34.0 / 60.0;

#[derive(Clone, Copy)]
struct Crossing {
    rising: bool,
    /// Degrees above the horizon.
    height: f64,
    /// The upper rim, not the centre.
    rim: bool,
}

impl Solar {
    /// Degrees; north and east are positive.
    pub fn new(event: Event, latitude: f64, longitude: f64) -> Result<Solar, Invalid> {
        for (what, degrees, most) in [("latitude", latitude, 90.0), ("longitude", longitude, 180.0)]
        {
            if !(-most..=most).contains(&degrees) {
                return Err(Invalid(format!("{what} {degrees} is not from -{most} to {most}")));
            }
        }
        Ok(Solar { event, latitude, longitude })
    }

    /// The first event after `last`, rounded up to the second; `None` if there is none for a year.
    pub fn next(&self, last: Timestamp) -> Option<Timestamp> {
        let start = last.as_microsecond() as f64 / 1e6 + SAME;
        let place = Place { latitude: self.latitude, longitude: self.longitude };
        let found = match self.event.crossing() {
            None => Some(place.noon_after(start)),
            Some(crossing) => crossing.after(&place, start),
        };
        Timestamp::from_second(found?.ceil() as i64).ok()
    }
}

impl Crossing {
    /// Between the lowest and the highest stand of a day the sun passes each height once at most.
    fn after(self, place: &Place, start: f64) -> Option<f64> {
        let below = |at: f64| place.height(at, self.rim) < self.height;
        let mut midnight = place.midnight_after(start - DAY);
        for _ in 0..=SEARCHED {
            let next_midnight = place.midnight_after(midnight + DAY / 2.0);
            let noon = place.noon_after(midnight);
            let (from, to) = if self.rising { (midnight, noon) } else { (next_midnight, noon) };
            if below(from) && !below(to) {
                let at = between(from, to, below);
                if at > start {
                    return Some(at);
                }
            }
            midnight = next_midnight;
        }
        None
    }
}

/// Where something stops to hold that holds at `from` and not at `to`, to the millisecond.
fn between(mut from: f64, mut to: f64, holds: impl Fn(f64) -> bool) -> f64 {
    while (to - from).abs() > 1e-3 {
        let middle = f64::midpoint(from, to);
        match holds(middle) {
            true => from = middle,
            false => to = middle,
        }
    }
    to
}

impl fmt::Display for Solar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}, {}", self.event.name(), self.latitude, self.longitude)
    }
}
