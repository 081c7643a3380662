//! Colours that colour-blind readers can tell apart.
//!
//! Lightness shows time, from dark to light: ColorBrewer's *Reds* for the frame features and *Blues* for the reconstruction,
//! as in the authors' figure, without the shades that are nearly white. Red and blue stay apart under the common colour
//! deficiencies; marker shapes tell them apart as well. Clips side by side take the colours of Okabe & Ito (2008), and
//! matrices *cividis* (Nuñez, Anderton & Renslow 2018).

/// sRGB.
pub type Rgb = [u8; 3];

/// Paper.
pub const WHITE: Rgb = [255, 255, 255];
/// Text.
pub const INK: Rgb = [32, 33, 36];
/// Text of less weight.
pub const GREY: Rgb = [95, 99, 104];
/// Frames of panels, axes.
pub const RULE: Rgb = [176, 180, 186];
/// Grids.
pub const GRID: Rgb = [232, 234, 237];

const REDS: [Rgb; 6] =
    [[92, 0, 12], [165, 15, 21], [203, 24, 29], [239, 59, 44], [251, 106, 74], [252, 160, 128]];
const BLUES: [Rgb; 6] =
    [[8, 40, 92], [8, 81, 156], [33, 113, 181], [66, 146, 198], [107, 174, 214], [150, 198, 226]];
const OKABE_ITO: [Rgb; 7] = [
    [0, 114, 178],
    [213, 94, 0],
    [0, 158, 115],
    [204, 121, 167],
    [230, 159, 0],
    [86, 180, 233],
    [60, 60, 60],
];
const CIVIDIS: [Rgb; 9] = [
    [0, 34, 78],
    [26, 56, 111],
    [67, 78, 108],
    [94, 101, 113],
    [124, 123, 120],
    [154, 146, 119],
    [187, 171, 109],
    [221, 197, 91],
    [254, 232, 56],
];

/// The most clips that a figure can show, each in a colour of its own.
pub const MOST_CLIPS: usize = OKABE_ITO.len();

/// Which of a clip's two paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Half {
    /// The frame encoder's features.
    #[value(name = "frames", help = "The frame features")]
    Features,
    /// LiFT's reconstruction.
    #[value(name = "lift", help = "LiFT's reconstruction")]
    Reconstruction,
}

impl Half {
    /// Its name in a legend.
    pub fn label(self) -> &'static str {
        match self {
            Half::Features => "frame features",
            Half::Reconstruction => "LiFT reconstruction",
        }
    }

    /// Its colour at `time` in `0..=1`.
    pub fn colour(self, time: f64) -> Rgb {
        ramp(if self == Half::Features { &REDS } else { &BLUES }, time)
    }
}

/// A clip's colour in a comparison.
pub fn clip_colour(clip: usize) -> Rgb {
    OKABE_ITO[clip % OKABE_ITO.len()]
}

/// A clip's colour at `time` in `0..=1`: from a darker to a lighter shade of it.
pub fn clip_colour_at(clip: usize, time: f64) -> Rgb {
    let base = clip_colour(clip);
    ramp(&[mix(base, [0, 0, 0], 0.45), base, mix(base, WHITE, 0.5)], time)
}

/// A matrix entry's colour, `share` in `0..=1` from dark blue to yellow.
pub fn cividis(share: f64) -> Rgb {
    ramp(&CIVIDIS, share)
}

/// The colour as HTML and SVG write it: `#rrggbb`.
pub fn hex([red, green, blue]: Rgb) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// The mixture of two colours; `share` in `0..=1` is that of `to`.
pub fn mix(from: Rgb, to: Rgb, share: f64) -> Rgb {
    std::array::from_fn(|channel| {
        let (from, to) = (f64::from(from[channel]), f64::from(to[channel]));
        (from + (to - from) * share).round() as u8
    })
}

fn ramp(stops: &[Rgb], time: f64) -> Rgb {
    let place = time.clamp(0.0, 1.0) * (stops.len() - 1) as f64;
    let at = (place as usize).min(stops.len() - 2);
    mix(stops[at], stops[at + 1], place - at as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG relative luminance.
    fn luminance(colour: Rgb) -> f64 {
        let linear = colour.map(|value| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    #[test]
    fn time_gets_lighter_all_the_way_and_never_fades_into_the_paper() {
        for half in [Half::Features, Half::Reconstruction] {
            let light: Vec<f64> = (0..=20).map(|t| luminance(half.colour(f64::from(t) / 20.0))).collect();
            assert!(light.windows(2).all(|pair| pair[0] < pair[1]), "{half:?} {light:?}");
            assert!(1.05 / (light[20] + 0.05) > 1.8, "{half:?} contrast with white");
        }
        let light: Vec<f64> = (0..=20).map(|t| luminance(cividis(f64::from(t) / 20.0))).collect();
        assert!(light.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
