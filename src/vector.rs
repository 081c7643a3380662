//! The length of a vector, and vectors of length 1.

/// The Euclidean length, summed in f64.
pub fn length(vector: &[f32]) -> f64 {
    vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

/// Scales a vector to length 1; a vector of zeros stays as it is.
pub fn scale_to_unit(vector: &mut [f32]) {
    let length = length(vector);
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_scaled_to_length_1_unless_it_is_zero() {
        let (mut vector, mut zero) = ([3.0, 4.0], [0.0; 2]);
        assert_eq!(length(&vector), 5.0);
        scale_to_unit(&mut vector);
        scale_to_unit(&mut zero);
        assert_eq!((vector, zero), ([0.6, 0.8], [0.0; 2]));
    }
}
