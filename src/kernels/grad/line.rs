//! Points on a line between two codes.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::{read, tensor, values};

/// `from + t/(T-1) · (to - from)` for `t` in `0..T`, with gradients: twice `(B, D)` to `(B, T, D)`.
///
/// # Errors
/// If the two differ in shape, or `frames`, `T`, is less than 2.
pub fn line(from: &Tensor, to: &Tensor, frames: usize) -> Result<Tensor> {
    from.contiguous()?.apply_op2(&to.contiguous()?, Line { frames })
}

struct Line {
    frames: usize,
}

impl Line {
    fn step(&self, t: usize) -> f32 {
        t as f32 / (self.frames - 1) as f32
    }
}

impl CustomOp2 for Line {
    fn name(&self) -> &'static str {
        "line"
    }

    fn cpu_fwd(
        &self,
        from: &CpuStorage,
        from_layout: &Layout,
        to: &CpuStorage,
        to_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (clips, width) = from_layout.shape().dims2()?;
        if to_layout.dims() != [clips, width] || self.frames < 2 || width == 0 {
            let (a, b) = (from_layout.dims(), to_layout.dims());
            bail!("no line of {} frames from {a:?} to {b:?}", self.frames);
        }
        let (from, to) = (values(from, from_layout)?, values(to, to_layout)?);
        let mut out = Vec::with_capacity(from.len() * self.frames);
        for (from, to) in from.chunks_exact(width).zip(to.chunks_exact(width)) {
            for t in (0..self.frames).map(|t| self.step(t)) {
                out.extend(from.iter().zip(to).map(|(a, b)| a + t * (b - a)));
            }
        }
        Ok((CpuStorage::F32(out), (clips, self.frames, width).into()))
    }

    fn bwd(
        &self,
        from: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (clips, width) = from.dims2()?;
        let (d_from, d_to) = read([&grad.contiguous()?], |[grad]| {
            let (mut d_from, mut d_to) = (vec![0.0; clips * width], vec![0.0; clips * width]);
            let ends = d_from.chunks_exact_mut(width).zip(d_to.chunks_exact_mut(width));
            for (clip, (d_from, d_to)) in grad.chunks_exact(self.frames * width).zip(ends) {
                for (t, row) in clip.chunks_exact(width).enumerate() {
                    let t = self.step(t);
                    for ((grad, from), to) in row.iter().zip(&mut *d_from).zip(&mut *d_to) {
                        *from += (1.0 - t) * grad;
                        *to += t * grad;
                    }
                }
            }
            (d_from, d_to)
        })?;
        Ok((Some(tensor(d_from, from.shape())?), Some(tensor(d_to, from.shape())?)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{agree, var};
    use super::*;

    #[test]
    fn values_and_gradients_are_those_of_the_composed_expression() {
        let (from, to) = (var((3, 5), 1), var((3, 5), 2));
        let composed = || {
            let steps = Tensor::from_vec(vec![0f32, 1.0 / 3.0, 2.0 / 3.0, 1.0], (1, 4, 1), from.device())?;
            let (a, b) = (from.unsqueeze(1)?, to.unsqueeze(1)?);
            a.broadcast_add(&(b - &a)?.broadcast_mul(&steps)?)
        };
        agree(&[&from, &to], line(&from, &to, 4), composed());
    }

    #[test]
    fn one_frame_is_no_line() {
        assert!(line(&var((3, 5), 1), &var((3, 5), 2), 1).is_err());
        assert!(line(&var((3, 5), 1), &var((3, 6), 2), 4).is_err());
    }
}
