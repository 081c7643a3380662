//! Frames as the frame encoders see them, up to bytes: resized (bicubic, antialiased) and cropped to 224 x 224.
//!
//! It gives the very bytes of torchvision on Pillow images, which is the authors' transform, and of transformers' image
//! processors on Pillow images for the others ([`Framing`]), so it follows Pillow's `Resample.c`: coefficients in f64,
//! rounded to 22 fractional bits; the horizontal pass first, rounded to u8, then the vertical one; the sums in i32 are
//! exact, so every instruction set gives the same bits. (Checked against Pillow 12.3 on 77 sizes; Pillow 13.0 gives other
//! bytes for some pictures more than twice as tall as wide.) Only what the crop shows is computed. `f32` conversion and
//! normalisation belong to the model, which folds them into its first layer.
//!
//! Speed: four rows are interleaved into 16 lanes (4 x RGB and a spare), so that the horizontal pass is a plain
//! multiply-add over a row of lanes per tap; the vertical pass runs along the row. The compiler vectorises both, once
//! per instruction set, which it does for loops over indices and not for chains of iterators.
#![allow(clippy::needless_range_loop)]

use super::frame::RgbFrame;
use crate::bicubic::cubic;

/// Side of the square that is kept, in pixels.
pub const CROP: usize = 224;
/// Bytes of a transformed frame: `CROP x CROP` pixels of RGB, row by row.
pub const FRAME_BYTES: usize = CROP * CROP * 3;

/// Fractional bits of a coefficient: Pillow's `32 - 8 - 2`.
const PRECISION: u32 = 22;
/// Rows handled together by the horizontal pass.
const ROWS: usize = 4;
/// Lanes of such a group: `ROWS` pixels of four bytes.
const LANES: usize = ROWS * 4;

/// How a picture becomes a square of [`CROP`] pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// torchvision's `Resize(256)` and `CenterCrop(224)`: DINOv2's, and so LiFT's.
    #[default]
    ShorterTo256,
    /// The shorter side to 224, then the centre, as transformers' `CLIPImageProcessorPil` does it.
    ShorterTo224,
    /// Both sides to 224, whatever the proportions, as transformers' `SiglipImageProcessorPil` does it with Pillow 12.3 but for
    /// very tall pictures. (Pillow 13.0 goes down before across where a picture is taller than wide, and gives other bytes.)
    Squeezed,
}

impl Framing {
    /// `(width, height)` after resizing; a long side truncates.
    fn resized(self, width: usize, height: usize) -> (usize, usize) {
        let short = match self {
            Self::ShorterTo256 => 256,
            Self::ShorterTo224 => CROP,
            Self::Squeezed => return (CROP, CROP),
        };
        let long = |long: usize, side: usize| (short as f64 * long as f64 / side as f64) as usize;
        if width <= height { (short, long(height, width)) } else { (long(width, height), short) }
    }

    /// First row or column of the centre crop: `(size - 224) / 2`, which torchvision rounds half to even and transformers
    /// down.
    fn offset(self, size: usize) -> usize {
        match self {
            Self::ShorterTo256 => ((size - CROP) as f64 / 2.0).round_ties_even() as usize,
            Self::ShorterTo224 | Self::Squeezed => (size - CROP) / 2,
        }
    }
}

/// The coefficients of `CROP` neighbouring outputs along one axis.
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
    /// Pillow's `precompute_coeffs` and `normalize_coeffs_8bpc` for the outputs of the crop, the first of them `offset`, from
    /// `input` to `output` pixels.
    fn new(input: usize, output: usize, offset: usize) -> Self {
        let scale = input as f64 / output as f64;
        let filter_scale = scale.max(1.0);
        let support = 2.0 * filter_scale;
        let mut rows = Vec::with_capacity(CROP);
        for out in offset..offset + CROP {
            let center = (out as f64 + 0.5) * scale;
            let start = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(input);
            let mut taps: Vec<f64> =
                (start..end).map(|x| cubic((x as f64 - center + 0.5) * (1.0 / filter_scale))).collect();
            let sum: f64 = taps.iter().sum();
            if sum != 0.0 {
                taps.iter_mut().for_each(|tap| *tap /= sum);
            }
            rows.push((start, taps));
        }
        let taps = rows.iter().map(|(_, taps)| taps.len()).max().unwrap_or(0);
        let mut axis = Self { starts: Vec::new(), weights: vec![0; CROP * taps], taps, from: input, to: 0 };
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
    width: usize,
    height: usize,
    across: Axis,
    down: Axis,
    /// Four interleaved input rows: for each column read, four pixels and their spare bytes.
    group: Vec<[[u8; 4]; ROWS]>,
    /// The input rows read, resized across: `CROP x 3` bytes each.
    middle: Vec<u8>,
}

impl Transform {
    /// The transform of a frame encoder.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        Self { framing, plan: None }
    }

    /// Resizes and crops `frame` into `CROP x CROP x 3` bytes, row by row, RGB.
    #[must_use]
    pub fn apply(&mut self, frame: &RgbFrame) -> Vec<u8> {
        let mut out = vec![0; FRAME_BYTES];
        let plan = match &mut self.plan {
            Some(plan) if (plan.width, plan.height) == (frame.width, frame.height) => plan,
            plan => plan.insert(Plan::new(self.framing, frame.width, frame.height)),
        };
        plan.run(frame, &mut out);
        out
    }
}

impl Plan {
    fn new(framing: Framing, width: usize, height: usize) -> Self {
        let (to_width, to_height) = framing.resized(width, height);
        let axis = |from, to| Axis::new(from, to, framing.offset(to));
        let (across, down) = (axis(width, to_width), axis(height, to_height));
        let group = vec![[[0; 4]; ROWS]; across.to - across.from];
        let middle = vec![0; (down.to - down.from) * CROP * 3];
        Self { width, height, across, down, group, middle }
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
        for (y, out) in out.chunks_exact_mut(CROP * 3).enumerate() {
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
        const ROW: usize = CROP * 3;
        let kept = ROWS.min(rows - top);
        for x in 0..CROP {
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
                let at = (top + r) * ROW + x * 3;
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
        const ROW: usize = CROP * 3;
        /// Bytes summed together, so that the sums stay in registers.
        const BLOCK: usize = 96;
        let (start, weights) = self.down.output(y);
        let (rows, _) = self.middle[(start - self.down.from) * ROW..].as_chunks::<ROW>();
        let rows = &rows[..weights.len()];
        let (out, _) = out.as_chunks_mut::<BLOCK>();
        for block in 0..out.len() {
            let mut sums = [1i32 << (PRECISION - 1); BLOCK];
            for k in 0..weights.len() {
                let (bytes, _) = rows[k].as_chunks::<BLOCK>();
                let bytes = &bytes[block];
                for i in 0..BLOCK {
                    sums[i] += i32::from(bytes[i]) * weights[k];
                }
            }
            for i in 0..BLOCK {
                out[block][i] = (sums[i] >> PRECISION).clamp(0, 255) as u8;
            }
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

    #[test]
    fn pictures_of_any_size_come_out_as_pillow_makes_them() {
        for (at, framing) in
            [Framing::ShorterTo256, Framing::ShorterTo224, Framing::Squeezed].into_iter().enumerate()
        {
            let mut transform = Transform::new(framing);
            for (width, height, expected) in PILLOW {
                let picture = noise(width, height);
                let frame = RgbFrame::new(width, height, width * 3, &picture);
                let bytes = transform.apply(&frame);
                let digest = |bytes: &[u8]| -> String {
                    Sha256::digest(bytes)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
                };
                assert_eq!(digest(&bytes), expected[at], "{width} x {height} {framing:?}");
                // Without wide vectors too.
                let mut plain = vec![0; FRAME_BYTES];
                Plan::new(framing, width, height).passes(&frame, &mut plain);
                assert!(plain == bytes, "{width} x {height} {framing:?}");
            }
        }
    }
}
