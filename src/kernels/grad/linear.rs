//! `y = x Wᵀ + b`, and with the ReLU behind it.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use gemm::Parallelism;

use super::{read, tensor, values};

/// `x Wᵀ + b` with gradients, `(..., in)` to `(..., out)`; `weight (out, in)`, `bias (out)`.
///
/// # Errors
/// If the shapes do not agree.
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op3(weight, bias, Linear { relu: false })
}

/// `max(x Wᵀ + b, 0)` with gradients (torch's: zero at zero).
///
/// # Errors
/// If the shapes do not agree.
pub fn linear_relu(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op3(weight, bias, Linear { relu: true })
}

struct Linear {
    relu: bool,
}

/// A matrix in memory: its values and the steps from row to row and from column to column.
type Matrix<'a> = (&'a [f32], usize, usize);

/// `out (m, n) = a (m, k) b (k, n)`, or added to what is there.
fn product(out: &mut [f32], [m, n, k]: [usize; 3], a: Matrix<'_>, b: Matrix<'_>, add: bool) {
    let last = |rows: usize, columns: usize, (_, row, column): Matrix<'_>| {
        rows.saturating_sub(1) * row + columns.saturating_sub(1) * column
    };
    assert_eq!(out.len(), m * n, "out is not (m, n)");
    if m * n * k == 0 {
        return;
    }
    assert!(last(m, k, a) < a.0.len() && last(k, n, b) < b.0.len(), "an operand ends too early");
    // SAFETY: `out` holds m·n values; the largest offset into `a` and `b` was checked against their lengths.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            add,
            a.0.as_ptr(),
            a.2 as isize,
            a.1 as isize,
            b.0.as_ptr(),
            b.2 as isize,
            b.1 as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::Rayon(0),
        );
    }
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (outputs, inputs) = weight_layout.shape().dims2()?;
        let mut dims = x_layout.dims().to_vec();
        match dims.last_mut() {
            Some(last) if *last == inputs && bias_layout.dims() == [outputs] => *last = outputs,
            _ => bail!(
                "a linear layer of {inputs} inputs and {outputs} outputs given {:?} and a bias of {:?}",
                x_layout.dims(),
                bias_layout.dims()
            ),
        }
        let (x, weight, bias) =
            (values(x, x_layout)?, values(weight, weight_layout)?, values(bias, bias_layout)?);
        let rows = x.len() / inputs.max(1);
        let mut y = Vec::with_capacity(rows * outputs);
        (0..rows).for_each(|_| y.extend_from_slice(bias));
        product(&mut y, [rows, outputs, inputs], (x, inputs, 1), (weight, 1, inputs), true);
        if self.relu {
            y.iter_mut().for_each(|y| *y = y.max(0.0));
        }
        Ok((CpuStorage::F32(y), dims.into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (outputs, inputs) = weight.dims2()?;
        let grad = grad.contiguous()?;
        let (dx, dw, db) = read([x, weight, y, &grad], |[xs, ws, ys, grads]| {
            let masked: Vec<f32>;
            let grads = if self.relu {
                masked = grads.iter().zip(ys).map(|(g, y)| if *y > 0.0 { *g } else { 0.0 }).collect();
                &masked
            } else {
                grads
            };
            let rows = grads.len() / outputs.max(1);
            let dx = x.track_op().then(|| {
                let mut dx = vec![0.0; rows * inputs];
                product(&mut dx, [rows, inputs, outputs], (grads, outputs, 1), (ws, inputs, 1), false);
                dx
            });
            let mut dw = vec![0.0; outputs * inputs];
            product(&mut dw, [outputs, inputs, rows], (grads, 1, outputs), (xs, inputs, 1), false);
            let mut db = vec![0.0; outputs];
            for row in grads.chunks_exact(outputs.max(1)) {
                db.iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
            }
            (dx, dw, db)
        })?;
        let dx = dx.map(|dx| tensor(dx, x.shape())).transpose()?;
        Ok((dx, Some(tensor(dw, weight.shape())?), Some(tensor(db, bias.shape())?)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{agree, var};
    use super::*;

    #[test]
    fn values_and_gradients_are_those_of_the_composed_expression() {
        let (x, w, b) = (var((3, 5, 19), 1), var((33, 19), 2), var(33, 3));
        let composed = |x: &Tensor| {
            x.reshape((15, 19))?.matmul(&w.t()?)?.broadcast_add(b.as_tensor())?.reshape((3, 5, 33))
        };
        agree(&[&x, &w, &b], linear(&x, &w, &b), composed(&x));
        agree(&[&x, &w, &b], linear_relu(&x, &w, &b), composed(&x).and_then(|y| y.relu()));
    }

    #[test]
    fn shapes_that_do_not_agree_are_refused() {
        assert!(linear(&var((3, 5), 1), &var((4, 6), 2), &var(4, 3)).is_err());
        assert!(linear(&var((3, 6), 1), &var((4, 6), 2), &var(5, 3)).is_err());
    }

    #[test]
    #[should_panic(expected = "an operand ends too early")]
    fn an_operand_without_values_is_not_read() {
        product(&mut [0.0], [1, 1, 1], (&[], 1, 1), (&[1.0], 1, 1), false);
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let (x, w, b) = (var((577, 384), 1), var((1536, 384), 2), var(1536, 3));
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let y = linear(&x, &w, &b).unwrap();
                let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
                let bits = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                [bits(&y), bits(grads.get(&x).unwrap()), bits(grads.get(&w).unwrap())]
            })
        };
        assert!(run(1) == run(3));
    }
}
