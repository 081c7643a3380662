//! How bodies push and pull points in t-SNE: by the kernel of Student's t with one degree of freedom, `q = 1 / (1 + d²)`.

use super::isa::Backend;
use super::precision::Precision;
use super::simd::{MAX_LANES, Op, Simd};

/// Bodies of some mass in the plane, in columns whose length is a whole number of vectors.
#[derive(Debug, Clone, Default)]
pub struct Bodies {
    x: Vec<f32>,
    y: Vec<f32>,
    mass: Vec<f32>,
}

impl Bodies {
    /// Forgets all of them; the memory stays.
    pub fn clear(&mut self) {
        self.x.clear();
        self.y.clear();
        self.mass.clear();
    }

    /// Adds a body.
    #[inline]
    pub fn push(&mut self, [x, y]: [f32; 2], mass: f32) {
        self.x.push(x);
        self.y.push(y);
        self.mass.push(mass);
    }

    /// Adds bodies, each a point and a mass.
    pub fn extend(&mut self, bodies: impl Iterator<Item = ([f32; 2], f32)> + Clone) {
        // Column by column, which needs no check of the capacity for each.
        self.x.extend(bodies.clone().map(|([x, _], _)| x));
        self.y.extend(bodies.clone().map(|([_, y], _)| y));
        self.mass.extend(bodies.map(|(_, mass)| mass));
    }

    /// Fills the last vector with bodies without mass.
    fn fill(&mut self) {
        let whole = self.x.len().next_multiple_of(MAX_LANES);
        self.x.resize(whole, 0.0);
        self.y.resize(whole, 0.0);
        self.mass.resize(whole, 0.0);
    }
}

struct Attraction<'a> {
    point: [f32; 2],
    bodies: &'a Bodies,
}

impl Op for Attraction<'_> {
    type Output = [f32; 2];
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> [f32; 2] {
        let (xs, ys, masses) = (&self.bodies.x[..], &self.bodies.y[..], &self.bodies.mass[..]);
        let (one, far) = (s.splat(1.0), s.splat(FAR));
        let (x, y) = (s.splat(self.point[0]), s.splat(self.point[1]));
        let (mut fx, mut fy) = (s.splat(0.0), s.splat(0.0));
        let mut i = 0;
        while i < xs.len() {
            let (dx, dy) = (s.sub(x, s.load(&xs[i..])), s.sub(y, s.load(&ys[i..])));
            let d = s.mul_add(dx, dx, s.mul_add(dy, dy, one));
            let mq = s.mul(s.load(&masses[i..]), s.ratio(one, s.min(d, far)));
            fx = s.mul_add(mq, dx, fx);
            fy = s.mul_add(mq, dy, fy);
            i += S::LANES;
        }
        [s.sum(fx), s.sum(fy)]
    }
}

struct Repulsion<'a> {
    points: &'a [[f32; 2]],
    bodies: &'a Bodies,
    out: &'a mut [[f32; 3]],
}

/// A distance beyond this counts as this: the square of the extent that a map can have.
const FAR: f32 = 1e6;

impl Op for Repulsion<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (xs, ys, masses) = (&self.bodies.x[..], &self.bodies.y[..], &self.bodies.mass[..]);
        let (one, far) = (s.splat(1.0), s.splat(FAR));
        for (point, out) in self.points.iter().zip(self.out.iter_mut()) {
            let (x, y) = (s.splat(point[0]), s.splat(point[1]));
            let (mut fx, mut fy, mut z) = (s.splat(0.0), s.splat(0.0), s.splat(0.0));
            let mut i = 0;
            while i < xs.len() {
                let (dx, dy) = (s.sub(x, s.load(&xs[i..])), s.sub(y, s.load(&ys[i..])));
                let d = s.mul_add(dx, dx, s.mul_add(dy, dy, one));
                let q = s.ratio(one, s.min(d, far));
                let mq = s.mul(s.load(&masses[i..]), q);
                let mqq = s.mul(mq, q);
                z = s.add(z, mq);
                fx = s.mul_add(mqq, dx, fx);
                fy = s.mul_add(mqq, dy, fy);
                i += S::LANES;
            }
            *out = [s.sum(fx), s.sum(fy), s.sum(z)];
        }
    }
}

/// Of each point `i`, `out (N, 3) = [sum m q² dx, sum m q² dy, sum m q]` over the bodies, f32.
///
/// # Panics
/// If the backend is not f32, or the lengths do not agree.
pub fn repulsion(backend: Backend, points: &[[f32; 2]], bodies: &mut Bodies, out: &mut [[f32; 3]]) {
    assert_eq!(backend.precision(), Precision::F32, "forces are f32");
    assert_eq!(points.len(), out.len(), "a force for each point");
    bodies.fill();
    backend.run(Repulsion { points, bodies, out });
}

/// Of one point, `[sum m q dx, sum m q dy]` over the bodies, f32.
///
/// # Panics
/// If the backend is not f32.
pub fn attraction(backend: Backend, point: [f32; 2], bodies: &mut Bodies) -> [f32; 2] {
    assert_eq!(backend.precision(), Precision::F32, "forces are f32");
    bodies.fill();
    backend.run(Attraction { point, bodies })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_gives_the_sums_of_f64() {
        let place = |i: usize| [(i as f32 * 0.7).sin() * 30.0, (i as f32 * 1.3).cos() * 20.0];
        let points: Vec<[f32; 2]> = (0..7).map(place).collect();
        for backend in crate::kernels::backends().into_iter().filter(|b| b.precision() == Precision::F32) {
            let mut bodies = Bodies::default();
            (3..40).for_each(|i| bodies.push(place(i), (i % 5) as f32));
            let mut out = vec![[0.0; 3]; points.len()];
            repulsion(backend, &points, &mut bodies, &mut out);
            for (point, found) in points.iter().zip(&out) {
                let mut wanted = [0.0f64; 5];
                for i in 3..40 {
                    let (body, mass) = (place(i), (i % 5) as f64);
                    let d = [0, 1].map(|axis| f64::from(point[axis]) - f64::from(body[axis]));
                    let q = 1.0 / (1.0 + d[0] * d[0] + d[1] * d[1]);
                    wanted[0] += mass * q * q * d[0];
                    wanted[1] += mass * q * q * d[1];
                    wanted[2] += mass * q;
                    wanted[3] += mass * q * d[0];
                    wanted[4] += mass * q * d[1];
                }
                let pulled = attraction(backend, *point, &mut bodies);
                for (a, b) in found.iter().chain(&pulled).zip(wanted) {
                    assert!((f64::from(*a) - b).abs() < 1e-5 * b.abs().max(1.0), "{backend:?} {found:?}");
                }
            }
        }
    }
}
