//! Where the sun stands: the low-precision theory of its longitude, good to a hundredth of a degree,
//! which is a few seconds of time.

/// Seconds.
pub(super) const DAY: f64 = 86_400.0;

/// 2000-01-01T12:00:00Z.
const EPOCH: f64 = 946_728_000.0;

/// How far uniform time is ahead of the earth's own, near enough for a century.
const AHEAD: f64 = 70.0;

/// Degrees that the earth turns in a day, against the sun.
const TURN: f64 = 360.0;

/// A place on the ground, in degrees. Moments are seconds since 1970.
pub(super) struct Place {
    pub(super) latitude: f64,
    pub(super) longitude: f64,
}

/// The sun as the centre of the earth sees it, in degrees.
struct Sun {
    ascension: f64,
    declination: f64,
    /// In mean distances.
    distance: f64,
    /// What the equinox is ahead of its mean place.
    equinox: f64,
}

impl Place {
    /// How high the sun stands, in degrees: its centre, or its upper rim.
    pub(super) fn height(&self, at: f64, rim: bool) -> f64 {
        let sun = Sun::at(at);
        let (latitude, declination) = (self.latitude.to_radians(), sun.declination.to_radians());
        let hour = self.hour(at, &sun).to_radians();
        let sine =
            latitude.sin() * declination.sin() + latitude.cos() * declination.cos() * hour.cos();
        let height = sine.clamp(-1.0, 1.0).asin();
        // Seen from the ground, not from the centre of the earth.
        let parallax = 8.794 / 3600.0 / sun.distance * height.cos();
        let radius = if rim { 959.63 / 3600.0 / sun.distance } else { 0.0 };
        height.to_degrees() - parallax + radius
    }

    /// When the sun next stands highest.
    pub(super) fn noon_after(&self, start: f64) -> f64 {
        self.meridian_after(start, 0.0)
    }

    /// When the sun next stands lowest.
    pub(super) fn midnight_after(&self, start: f64) -> f64 {
        self.meridian_after(start, 180.0)
    }

    fn meridian_after(&self, start: f64, wanted: f64) -> f64 {
        let ahead = |at: f64| wanted - self.hour(at, &Sun::at(at));
        let mut at = start + ahead(start).rem_euclid(TURN) / TURN * DAY;
        for _ in 0..4 {
            at += around(ahead(at)) / TURN * DAY;
        }
        // A guess that was a little late for the event before it.
        if at <= start { self.meridian_after(start + DAY / 4.0, wanted) } else { at }
    }

    /// How far the sun is past the meridian, in degrees.
    fn hour(&self, at: f64, sun: &Sun) -> f64 {
        let days = (at - EPOCH) / DAY;
        let sidereal = 280.460_618_37 + 360.985_647_366_29 * days;
        sidereal + sun.equinox + self.longitude - sun.ascension
    }
}

impl Sun {
    fn at(at: f64) -> Sun {
        let t = (at + AHEAD - EPOCH) / DAY / 36_525.0;
        let mean = 280.466_46 + t * (36_000.769_83 + t * 0.000_303_2);
        let anomaly = (357.529_11 + t * (35_999.050_29 - t * 0.000_153_7)).to_radians();
        let eccentricity = 0.016_708_634 - t * (0.000_042_037 + t * 0.000_000_126_7);
        let center = (1.914_602 - t * (0.004_817 + t * 0.000_014)) * anomaly.sin()
            + (0.019_993 - t * 0.000_101) * (2.0 * anomaly).sin()
            + 0.000_289 * (3.0 * anomaly).sin();
        let distance = 1.000_001_018 * (1.0 - eccentricity * eccentricity)
            / (1.0 + eccentricity * (anomaly + center.to_radians()).cos());
        let node = (125.04 - 1_934.136 * t).to_radians();
        // Aberration and nutation.
        let longitude = (mean + center - 0.005_69 - 0.004_78 * node.sin()).to_radians();
        let tilt = 23.439_291 - 0.013_004_2 * t + 0.002_56 * node.cos();
        let tilt = tilt.to_radians();
        Sun {
            ascension: (tilt.cos() * longitude.sin()).atan2(longitude.cos()).to_degrees(),
            declination: (tilt.sin() * longitude.sin()).asin().to_degrees(),
            distance,
            equinox: -0.004_78 * node.sin() * tilt.cos(),
        }
    }
}

/// The same angle, from -180 to 180 degrees.
fn around(degrees: f64) -> f64 {
    (degrees + 180.0).rem_euclid(TURN) - 180.0
}
