//! Frames as the frame encoders see them, up to bytes: resized (antialiased) and cropped to a square.
//!
//! It gives the very bytes of torchvision on Pillow images, which is the authors' transform and timm's, and of transformers' image
//! processors on Pillow images ([`Framing`]), so it follows Pillow's `Resample.c`: coefficients in f64, rounded to 22 fractional
//! bits; the horizontal pass first, rounded to u8, then the vertical one; the sums in i32 are exact, so every instruction set
//! gives the same bits. (Checked against Pillow 12.3 on 77 sizes; Pillow 13.0 gives other bytes for some pictures more than twice
//! as tall as wide.) Only what the crop shows is computed. `f32` conversion and normalisation belong to the model, which folds
//! them into its first layer.
//!
//! Speed: four rows are interleaved into 16 lanes (4 x RGB and a spare), so that the horizontal pass is a plain
//! multiply-add over a row of lanes per tap; the vertical pass runs along the row. The compiler vectorises both, once
//! per instruction set, which it does for loops over indices and not for chains of iterators.
#![allow(clippy::needless_range_loop)]

use std::fmt;

use serde::{Deserialize, Serialize};

use super::frame::RgbFrame;
use crate::bicubic::{ANTIALIASED, cubic};

/// Fractional bits of a coefficient: Pillow's `32 - 8 - 2`.
const PRECISION: u32 = 22;
/// Rows handled together by the horizontal pass.
const ROWS: usize = 4;
/// Lanes of such a group: `ROWS` pixels of four bytes.
const LANES: usize = ROWS * 4;

/// How a picture becomes the square that a frame encoder reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Framing {
    /// What is resized to which size.
    pub resize: Resize,
    /// Side of the square that is then cut out of the middle, in pixels; at most the resized side.
    pub side: usize,
    /// How pixels are weighed.
    pub filter: Filter,
    /// Which middle.
    pub centre: Centre,
}

/// What is resized to how many pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// The shorter side; the longer one keeps the proportions, and its fraction is cut off.
    Shorter(usize),
    /// Both sides, whatever the proportions. Pillow 12.3 gives the same bytes but for very tall pictures; Pillow 13.0 goes down
    /// before across where a picture is taller than wide, and gives other bytes.
    Both(usize),
}

/// The kernel by which pixels are resampled, widened where the picture shrinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// A triangle over two pixels.
    Bilinear,
    /// The cubic convolution kernel.
    Bicubic,
}

/// The first row or column of the square, where what is left over is odd: `(size - side) / 2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Centre {
    /// A half goes to the even number: torchvision's.
    HalfToEven,
    /// A half goes down: transformers'.
    Down,
}

impl Framing {
    /// The authors' of LiFT: torchvision's `Resize(256, BICUBIC)` and `CenterCrop(224)`.
    pub const LIFT: Self =
        Self { resize: Resize::Shorter(256), side: 224, filter: Filter::Bicubic, centre: Centre::HalfToEven };

    /// Bytes of a transformed frame: `side x side` pixels of RGB, row by row.
    pub fn frame_bytes(&self) -> usize {
        self.side * self.side * 3
    }

    /// `(width, height)` after resizing.
    fn resized(&self, width: usize, height: usize) -> (usize, usize) {
        let short = match self.resize {
            Resize::Shorter(short) => short,
            Resize::Both(side) => return (side, side),
        };
        let long = |long: usize, side: usize| (short as f64 * long as f64 / side as f64) as usize;
        if width <= height { (short, long(height, width)) } else { (long(width, height), short) }
    }

    /// First row or column of the centre crop.
    fn offset(&self, size: usize) -> usize {
        let left_over = size - self.side;
        match self.centre {
            Centre::HalfToEven => (left_over as f64 / 2.0).round_ties_even() as usize,
            Centre::Down => left_over / 2,
        }
    }
}

impl Default for Framing {
    fn default() -> Self {
        Self::LIFT
    }
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filter = match self.filter {
            Filter::Bilinear => "bilinear",
            Filter::Bicubic => "bicubic",
        };
        let side = self.side;
        match self.resize {
            Resize::Both(both) if both == side => write!(f, "both sides to {side} px, {filter}"),
            Resize::Both(both) => {
                write!(f, "both sides to {both} px, {filter}, then the middle {side} x {side}")
            }
            Resize::Shorter(short) => {
                write!(f, "the shorter side to {short} px, {filter}, then the middle {side} x {side}")
            }
        }
    }
}

impl Filter {
    /// Pixels to either side that the kernel reaches.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    /// The kernel `x` pixels from its centre.
    fn weight(self, x: f64) -> f64 {
        match self {
            Self::Bilinear => (1.0 - x.abs()).max(0.0),
            Self::Bicubic => cubic(x, ANTIALIASED),
        }
    }
}

/// The coefficients of neighbouring outputs along one axis.
struct Axis {
    /// First input of each output.
    starts: Vec<usize>,
    /// `taps` coefficients for each output, zeros after the last.
    weights: Vec<i32>,
    /// Coefficients kept for each output.
    taps: usize,
    /// Inputs that any output reads: `from..to`.
    from: usize,
    to: usize,
}

impl Axis {
    /// Pillow's `precompute_coeffs` and `normalize_coeffs_8bpc` for the outputs of the crop, from `input` to `output` pixels.
    fn new(framing: &Framing, input: usize, output: usize) -> Self {
        let Framing { side, filter, .. } = *framing;
        let offset = framing.offset(output);
        let scale = input as f64 / output as f64;
        let filter_scale = scale.max(1.0);
        let support = filter.support() * filter_scale;
        let mut rows = Vec::with_capacity(side);
        for out in offset..offset + side {
            let center = (out as f64 + 0.5) * scale;
            let start = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(input);
            let weight = |x: usize| filter.weight((x as f64 - center + 0.5) * (1.0 / filter_scale));
            let mut taps: Vec<f64> = (start..end).map(weight).collect();
            let sum: f64 = taps.iter().sum();
            if sum != 0.0 {
                taps.iter_mut().for_each(|tap| *tap /= sum);
            }
            rows.push((start, taps));
        }
        let taps = rows.iter().map(|(_, taps)| taps.len()).max().unwrap_or(0);
        let mut axis = Self { starts: Vec::new(), weights: vec![0; side * taps], taps, from: input, to: 0 };
        for (i, (start, row)) in rows.iter().enumerate() {
            // The zeros after a shorter row must not read past the input.
            let shifted = (*start).min(input.saturating_sub(taps));
            for (slot, tap) in axis.weights[i * taps + start - shifted..].iter_mut().zip(row) {
                let scaled = tap * f64::from(1 << PRECISION);
                *slot = (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32;
            }
            axis.starts.push(shifted);
            axis.from = axis.from.min(shifted);
            axis.to = axis.to.max(shifted + taps);
        }
        axis
    }

    /// First input and coefficients of output `i` of the crop.
    fn output(&self, i: usize) -> (usize, &[i32]) {
        (self.starts[i], &self.weights[i * self.taps..(i + 1) * self.taps])
    }
}

/// The transform for frames of one size, with room for its intermediate rows; frames of another size rebuild it.
#[derive(Default)]
pub struct Transform {
    framing: Framing,
    plan: Option<Plan>,
}

/// Coefficients and buffers for one input size.
struct Plan {
    /// Side of the square.
    side: usize,
    width: usize,
    height: usize,
    across: Axis,
    down: Axis,
    /// Four interleaved input rows: for each column read, four pixels and their spare bytes.
    group: Vec<[[u8; 4]; ROWS]>,
    /// The input rows read, resized across: `side x 3` bytes each.
    middle: Vec<u8>,
}

impl Transform {
    /// The transform of a frame encoder.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        Self { framing, plan: None }
    }

    /// Resizes and crops `frame` into [`Framing::frame_bytes`] bytes, row by row, RGB.
    #[must_use]
    pub fn apply(&mut self, frame: &RgbFrame) -> Vec<u8> {
        let mut out = vec![0; self.framing.frame_bytes()];
        let plan = match &mut self.plan {
            Some(plan) if (plan.width, plan.height) == (frame.width, frame.height) => plan,
            plan => plan.insert(Plan::new(&self.framing, frame.width, frame.height)),
        };
        plan.run(frame, &mut out);
        out
    }
}

impl Plan {
    fn new(framing: &Framing, width: usize, height: usize) -> Self {
        let (to_width, to_height) = framing.resized(width, height);
        let (across, down) = (Axis::new(framing, width, to_width), Axis::new(framing, height, to_height));
        let group = vec![[[0; 4]; ROWS]; across.to - across.from];
        let middle = vec![0; (down.to - down.from) * framing.side * 3];
        Self { side: framing.side, width, height, across, down, group, middle }
    }

    /// Runs both passes with the widest instruction set there is.
    fn run(&mut self, frame: &RgbFrame, out: &mut [u8]) {
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx512bw")
                && std::arch::is_x86_feature_detected!("avx512vl")
            {
                // SAFETY: the processor has the features that the function is compiled for.
                return unsafe { self.run_avx512(frame, out) };
            }
            if std::arch::is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has the feature that the function is compiled for.
                return unsafe { self.run_avx2(frame, out) };
            }
        }
        self.passes(frame, out);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn run_avx512(&mut self, frame: &RgbFrame, out: &mut [u8]) {
        self.passes(frame, out);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn run_avx2(&mut self, frame: &RgbFrame, out: &mut [u8]) {
        self.passes(frame, out);
    }

    /// Across, then down.
    #[inline(always)]
    fn passes(&mut self, frame: &RgbFrame, out: &mut [u8]) {
        let rows = self.down.to - self.down.from;
        for top in (0..rows).step_by(ROWS) {
            self.interleave(frame, top, rows);
            self.across(top, rows);
        }
        for (y, out) in out.chunks_exact_mut(self.side * 3).enumerate() {
            self.down(y, out);
        }
    }

    /// Gathers the pixels of four rows, column by column; after the last row it repeats that row.
    #[inline(always)]
    fn interleave(&mut self, frame: &RgbFrame, top: usize, rows: usize) {
        for r in 0..ROWS {
            let y = self.down.from + (top + r).min(rows - 1);
            let (pixels, _) = frame.row(y)[self.across.from * 3..self.across.to * 3].as_chunks::<3>();
            let group = &mut self.group[..pixels.len()];
            for x in 0..pixels.len() {
                let [red, green, blue] = pixels[x];
                group[x][r] = [red, green, blue, 0];
            }
        }
    }

    /// The horizontal pass over the four interleaved rows.
    #[inline(always)]
    fn across(&mut self, top: usize, rows: usize) {
        let row = self.side * 3;
        let kept = ROWS.min(rows - top);
        for x in 0..self.side {
            let (start, weights) = self.across.output(x);
            let group = self.group[start - self.across.from..][..weights.len()].as_flattened().as_flattened();
            let (group, _) = group.as_chunks::<LANES>();
            let mut sums = [1i32 << (PRECISION - 1); LANES];
            for k in 0..weights.len() {
                for lane in 0..LANES {
                    sums[lane] += i32::from(group[k][lane]) * weights[k];
                }
            }
            let mut bytes = [0u8; LANES];
            for lane in 0..LANES {
                bytes[lane] = (sums[lane] >> PRECISION).clamp(0, 255) as u8;
            }
            for r in 0..kept {
                let at = (top + r) * row + x * 3;
                let pixel = &mut self.middle[at..at + 3];
                pixel[0] = bytes[r * 4];
                pixel[1] = bytes[r * 4 + 1];
                pixel[2] = bytes[r * 4 + 2];
            }
        }
    }

    /// The vertical pass for output row `y`.
    #[inline(always)]
    fn down(&self, y: usize, out: &mut [u8]) {
        /// Bytes summed together, so that the sums stay in registers.
        const BLOCK: usize = 96;
        let (start, weights) = self.down.output(y);
        let row = self.side * 3;
        let rows = &self.middle[(start - self.down.from) * row..][..weights.len() * row];
        let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
        for block in 0..blocks.len() {
            let mut sums = [1i32 << (PRECISION - 1); BLOCK];
            for k in 0..weights.len() {
                let (bytes, _) = rows[k * row + block * BLOCK..].as_chunks::<BLOCK>();
                let bytes = &bytes[0];
                for i in 0..BLOCK {
                    sums[i] += i32::from(bytes[i]) * weights[k];
                }
            }
            for i in 0..BLOCK {
                blocks[block][i] = (sums[i] >> PRECISION).clamp(0, 255) as u8;
            }
        }
        let done = row - rest.len();
        for i in 0..rest.len() {
            let mut sum = 1i32 << (PRECISION - 1);
            for k in 0..weights.len() {
                sum += i32::from(rows[k * row + done + i]) * weights[k];
            }
            rest[i] = (sum >> PRECISION).clamp(0, 255) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    /// What Pillow 13.0 gives (and 12.3 of the first), by `scripts/make_transform_golden.py`: width, height, and the start of the
    /// bytes' SHA-256 in each framing.
    const PILLOW: [(usize, usize, [&str; 3]); 16] = [
        (293, 240, ["6de2187556af064b", "daefa90ede93cf9f", "12f10162601b347d"]),
        (240, 293, ["cdabe69c5afd251b", "05f58f88a7015b37", "5a2ccc69c5f3ab91"]),
        (426, 240, ["8a3e35578600df76", "a3d9b760dfa6e7c1", "22aa9ccb8274244c"]),
        (1280, 720, ["20d65c1abc600d41", "1c125793c626fd8d", "3a9a4c1982715d1d"]),
        (720, 1280, ["5f2c58545364942e", "43aacd6444d6f67d", "85ff0f8bc52dfdda"]),
        (1920, 1080, ["686540d42292c5c8", "46cf3eee27a5deb1", "ecf54c02b6193492"]),
        (256, 256, ["1795115ef41fc8ed", "c27da0838eb869e7", "c27da0838eb869e7"]),
        (224, 224, ["fd1c497ea962be53", "456ca2e7402da6d6", "456ca2e7402da6d6"]),
        (255, 257, ["d81ba04d4e4f332b", "8b9228bb575dd2f5", "e41eee7ae1632434"]),
        (641, 479, ["d76b438f114079ac", "0b06ea04d08e6c8d", "f334f7e640f7885b"]),
        (97, 65, ["ab0ad283f36906a1", "811b4eed8a8343d5", "9a3963917dbd0d67"]),
        (13, 7, ["d86df8f9319fd6a6", "0521716d1b5a0e09", "d762ce2c3aa2a31c"]),
        (400, 10, ["acfd1ff6e2095cc5", "8b5961805b4eec27", "251b904ea8104bb4"]),
        (3, 501, ["03f45bcd7dd429cc", "40929df47edb304c", "98368606473bb071"]),
        (2, 3, ["8eeff11b48d48631", "08d7911cb495b48d", "04ec35fa035086bd"]),
        (1, 1, ["904245d4c92a57c0", "904245d4c92a57c0", "904245d4c92a57c0"]),
    ];

    /// The script's picture.
    fn noise(width: usize, height: usize) -> Vec<u8> {
        let value = |i: usize| {
            let (x, y, c) = ((i / 3 % width) as u32, (i / 3 / width) as u32, (i % 3) as u32);
            let v = x.wrapping_mul(73_856_093) ^ y.wrapping_mul(19_349_663) ^ c.wrapping_mul(83_492_791);
            ((v ^ v >> 15).wrapping_mul(2_246_822_519) >> 16) as u8
        };
        (0..width * height * 3).map(value).collect()
    }

    const fn framing(resize: Resize, side: usize, filter: Filter, centre: Centre) -> Framing {
        Framing { resize, side, filter, centre }
    }

    use Filter::{Bicubic, Bilinear};
    use Resize::{Both, Shorter};

    const FRAMINGS: [Framing; 3] = [
        Framing::LIFT,
        framing(Shorter(224), 224, Bicubic, Centre::Down),
        framing(Both(224), 224, Bicubic, Centre::Down),
    ];

    /// The script's second table.
    const OTHERS: [(usize, usize, [&str; 7]); 9] = [
        (
            293,
            240,
            [
                "0b72dd71894e04d8",
                "3719136f96d7e164",
                "5670def2957ff6f8",
                "6de2187556af064b",
                "9191fdb609379166",
                "da9eed2eadd59136",
                "aabc14aaa18c4afa",
            ],
        ),
        (
            240,
            293,
            [
                "4294d6ec32532428",
                "e9a4198735b5d75d",
                "bb87d9bc1748dec6",
                "cdabe69c5afd251b",
                "c2be54a0bffcc8e6",
                "d2275406091c52e1",
                "bac05a0875e34bf9",
            ],
        ),
        (
            426,
            240,
            [
                "4207d21ceb81c523",
                "a56ec404076386d3",
                "2102e688e4d732a9",
                "8a3e35578600df76",
                "1976a116d30774cd",
                "6a3f1ecaa7412afc",
                "df99843d3567e833",
            ],
        ),
        (
            1280,
            720,
            [
                "0397304e68b371df",
                "8d9c4d9c0c5389ba",
                "7de4cb50ccd51d0c",
                "2209c0c86e9dad00",
                "b70294a8c4deeeb4",
                "e4fb2620660503ce",
                "ca7c8b472ab560ba",
            ],
        ),
        (
            255,
            257,
            [
                "d08a4db1cb125076",
                "0bb5b0eabea94cb7",
                "f17882cdd9db6380",
                "d81ba04d4e4f332b",
                "c3170a9c43cf440d",
                "6f1aed2fa556312b",
                "2dc738daa74e915d",
            ],
        ),
        (
            641,
            479,
            [
                "bc284718c450ea0b",
                "5f53669e3dbc60a7",
                "c7c1744e9791b0ca",
                "d76b438f114079ac",
                "ddf42b4d3bfad637",
                "c480491d98dde794",
                "fb34b83a9179501d",
            ],
        ),
        (
            97,
            65,
            [
                "1ac38a7dda743158",
                "c3a023a17c76c5d6",
                "890527f65b8bdafb",
                "ab0ad283f36906a1",
                "e8605108e229a6e1",
                "2f858941488f7c9b",
                "c6e064a974e917ea",
            ],
        ),
        (
            13,
            7,
            [
                "cfd4ea625688bac0",
                "2853441ea38401c8",
                "cbff8adbe93ce292",
                "2ab69f06adef9e8c",
                "3fe2d4049dcff7a0",
                "23bd409695073161",
                "45ec89df12769aaf",
            ],
        ),
        (
            2,
            3,
            [
                "67fc1371c646c9c8",
                "e22b6a95daf40fd2",
                "05551c130078627e",
                "8eeff11b48d48631",
                "048a86f650cbb73b",
                "e17b1bbcb10335db",
                "5c046f7bd1cccf20",
            ],
        ),
    ];

    const OTHER_FRAMINGS: [Framing; 7] = [
        framing(Both(224), 224, Bilinear, Centre::Down),
        framing(Both(256), 256, Bilinear, Centre::Down),
        framing(Both(384), 384, Bilinear, Centre::Down),
        framing(Shorter(256), 224, Bicubic, Centre::Down),
        framing(Shorter(256), 224, Bilinear, Centre::Down),
        framing(Shorter(256), 256, Bicubic, Centre::HalfToEven),
        framing(Shorter(518), 518, Bicubic, Centre::HalfToEven),
    ];

    fn check<const N: usize>(framings: &[Framing; N], goldens: &[(usize, usize, [&str; N])]) {
        for (at, &framing) in framings.iter().enumerate() {
            let mut transform = Transform::new(framing);
            for &(width, height, expected) in goldens {
                let picture = noise(width, height);
                let frame = RgbFrame::new(width, height, width * 3, &picture);
                let bytes = transform.apply(&frame);
                let digest = |bytes: &[u8]| -> String {
                    Sha256::digest(bytes)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
                };
                assert_eq!(digest(&bytes), expected[at], "{width} x {height} {framing:?}");
                // Without wide vectors too.
                let mut plain = vec![0; framing.frame_bytes()];
                Plan::new(&framing, width, height).passes(&frame, &mut plain);
                assert!(plain == bytes, "{width} x {height} {framing:?}");
            }
        }
    }

    #[test]
    fn pictures_of_any_size_come_out_as_pillow_makes_them() {
        check(&FRAMINGS, &PILLOW);
        check(&OTHER_FRAMINGS, &OTHERS);
    }
}
