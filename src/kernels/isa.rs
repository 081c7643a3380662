//! The instruction set that runs the kernels, chosen once at run time by what the processor has.
//!
//! A [`Backend`] exists only for what this processor has, which is what makes the kernels safe to call.
//!
//! **bf16.** AMX tiles where the processor has them and the system grants them, else AVX512-BF16. Intel issues the latter so
//! seldom that its peak is half of f32's (measured), so there [`Backend::best_in`] refuses it and says why; the caller
//! goes on in f32. For processors of other makers it is used without a measurement. [`Backend::new`] still
//! gives it by name, as the tests need.
//!
//! **bf16x3.** Each operand is the sum of two bf16, and a product of operands is three products of bf16: what is left out is the
//! product of the two small parts, below 2^-16 of the whole. That gains only where a product of bf16 takes less than a third
//! of f32's time. AVX512-BF16 takes half of it at best, and on Zen 4 bf16x3 was 1.5 times as slow as f32 (measured); AMX should
//! take less, which nobody has measured. With other instructions than AMX it runs by name, for the tests: what they find
//! on any machine then holds for the layout of operands on AMX.

#[cfg(target_arch = "x86_64")]
use super::amx::Amx;
use super::portable::Portable;
use super::precision::Precision;
use super::simd::{Op, Simd};

/// An instruction set the kernels are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// x86-64 with AVX-512 and AMX: matrix products in bf16 only.
    Amx,
    /// x86-64 with AVX-512 (F and BW).
    Avx512,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// AArch64.
    Neon,
    /// Any processor, without explicit vectors.
    Portable,
}

impl Isa {
    /// All, best first.
    pub const ALL: [Isa; 5] = [Isa::Amx, Isa::Avx512, Isa::Avx2, Isa::Neon, Isa::Portable];

    /// Whether this processor has it.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Amx => Amx::ask().is_some(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            Isa::Neon => cfg!(target_arch = "aarch64"),
            Isa::Portable => true,
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Amx | Isa::Avx512 | Isa::Avx2 => false,
        }
    }

    /// Whether this processor runs matrix products of that precision with it.
    pub fn supports(self, precision: Precision) -> bool {
        self.is_available()
            && match precision {
                Precision::F32 => self != Isa::Amx,
                Precision::Bf16 => self == Isa::Amx || (self == Isa::Avx512 && has_bf16()),
                Precision::Bf16x3 => self == Isa::Portable || self.supports(Precision::Bf16),
            }
    }

    /// Whether those products are as fast as f32's or faster, by a rule and not by a clock: which instructions run, and so
    /// the bits of a result, must not change from run to run.
    fn pays(self, precision: Precision) -> bool {
        match precision {
            Precision::F32 => true,
            Precision::Bf16 => self == Isa::Amx || !is_intel(),
            Precision::Bf16x3 => self == Isa::Amx,
        }
    }

    /// As users know it: `AVX-512`.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Amx => "AVX-512 + AMX",
            Isa::Avx512 => "AVX-512",
            Isa::Avx2 => "AVX2",
            Isa::Neon => "NEON",
            Isa::Portable => "portable",
        }
    }
}

fn is_intel() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        let leaf = std::arch::x86_64::__cpuid(0);
        [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes).as_flattened() == b"GenuineIntel"
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

fn has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// This processor lacks the instructions asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// Not with this instruction set.
    #[error("this processor has no {} matrix products in {}: use f32", .isa.name(), .precision.name())]
    Here {
        /// The instruction set asked for.
        isa: Isa,
        /// The precision asked for.
        precision: Precision,
    },
    /// Not with any.
    #[error("this processor has no matrix products in {}: use f32", .0.name())]
    Nowhere(Precision),
    /// Only with instructions that are slower than those of f32.
    #[error("this processor's {} products in {} are slower than those in f32: use f32", .isa.name(), .precision.name())]
    Slower {
        /// The best instruction set that has them.
        isa: Isa,
        /// The precision asked for.
        precision: Precision,
    },
}

/// An instruction set and a precision that this processor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backend {
    isa: Isa,
    precision: Precision,
}

impl Backend {
    /// # Errors
    /// If this processor lacks the one or the other.
    pub fn new(isa: Isa, precision: Precision) -> Result<Self, Unsupported> {
        if isa.supports(precision) {
            Ok(Self { isa, precision })
        } else {
            Err(Unsupported::Here { isa, precision })
        }
    }

    /// The best instruction set of this processor in f32.
    pub fn best() -> Self {
        Self::best_in(Precision::F32).unwrap_or(Self { isa: Isa::Portable, precision: Precision::F32 })
    }

    /// The best instruction set of this processor in a precision.
    ///
    /// # Errors
    /// If it has none, or only one that is slower than f32.
    pub fn best_in(precision: Precision) -> Result<Self, Unsupported> {
        match Isa::ALL.into_iter().find(|isa| isa.supports(precision)) {
            Some(isa) if isa.pays(precision) => Ok(Self { isa, precision }),
            Some(isa) => Err(Unsupported::Slower { isa, precision }),
            None => Err(Unsupported::Nowhere(precision)),
        }
    }

    /// The instruction set.
    pub fn isa(self) -> Isa {
        self.isa
    }

    /// The precision of matrix products.
    pub fn precision(self) -> Precision {
        self.precision
    }

    /// The same processor's vectors in f32.
    pub(super) fn in_f32(self) -> Self {
        // What has AMX has AVX-512.
        Self { isa: if self.isa == Isa::Amx { Isa::Avx512 } else { self.isa }, precision: Precision::F32 }
    }

    /// The matrix unit, where it makes the products.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn amx(self) -> Option<Amx> {
        if self.isa == Isa::Amx { Amx::ask() } else { None }
    }

    /// Runs a kernel with this instruction set.
    pub(super) fn run<O: Op>(self, op: O) -> O::Output {
        #[cfg(target_arch = "x86_64")]
        {
            use super::x86::{Avx2, Avx512, Avx512Bf16};
            match (self.isa, self.precision) {
                // SAFETY: `new` asked the processor for these features.
                (Isa::Avx512, Precision::F32) => return unsafe { Avx512::new() }.call(op),
                (Isa::Amx | Isa::Avx512, Precision::Bf16) => {
                    // SAFETY: as above.
                    return unsafe { Avx512Bf16::<false>::new() }.call(op);
                }
                (Isa::Amx | Isa::Avx512, Precision::Bf16x3) => {
                    // SAFETY: as above.
                    return unsafe { Avx512Bf16::<true>::new() }.call(op);
                }
                // SAFETY: as above.
                (Isa::Avx2, _) => return unsafe { Avx2::new() }.call(op),
                _ => {}
            }
        }
        #[cfg(target_arch = "aarch64")]
        if self.isa == Isa::Neon {
            return super::neon::Neon.call(op);
        }
        match self.precision {
            Precision::Bf16x3 => Portable::<true>.call(op),
            _ => Portable::<false>.call(op),
        }
    }
}

/// Every backend of this processor, for tests that try each.
#[cfg(test)]
pub(crate) fn backends() -> Vec<Backend> {
    [Precision::F32, Precision::Bf16, Precision::Bf16x3]
        .into_iter()
        .flat_map(|precision| Isa::ALL.into_iter().filter_map(move |isa| Backend::new(isa, precision).ok()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portable_is_always_there_and_never_in_bf16() {
        assert!(Backend::best().isa().is_available());
        assert!(Backend::new(Isa::Portable, Precision::F32).is_ok());
        let refused = Backend::new(Isa::Portable, Precision::Bf16).unwrap_err();
        assert_eq!(refused.to_string(), "this processor has no portable matrix products in bf16: use f32");
    }

    #[test]
    fn bf16_is_chosen_only_where_it_is_not_slower_than_f32() {
        match Backend::best_in(Precision::Bf16) {
            Ok(backend) => {
                assert!(
                    backend.isa() == Isa::Amx || (backend.isa() == Isa::Avx512 && !is_intel()),
                    "{backend:?}"
                );
            }
            Err(Unsupported::Slower { isa, .. }) => {
                assert!(isa == Isa::Avx512 && is_intel() && !Isa::Amx.is_available());
                assert!(Backend::new(isa, Precision::Bf16).is_ok(), "it can still be asked for");
            }
            Err(refused) => {
                assert_eq!(refused, Unsupported::Nowhere(Precision::Bf16));
                assert!(Isa::ALL.iter().all(|isa| !isa.supports(Precision::Bf16)));
            }
        }
    }

    #[test]
    fn bf16x3_is_chosen_on_amx_alone_and_can_be_asked_for_anywhere() {
        match Backend::best_in(Precision::Bf16x3) {
            Ok(backend) => assert_eq!(backend.isa(), Isa::Amx),
            Err(refused) => {
                assert!(matches!(refused, Unsupported::Slower { .. }), "{refused}");
                assert!(!Isa::Amx.is_available());
            }
        }
        assert!(Backend::new(Isa::Portable, Precision::Bf16x3).is_ok());
    }

    #[test]
    fn amx_is_never_for_f32() {
        assert!(!Isa::Amx.supports(Precision::F32));
        for precision in [Precision::Bf16, Precision::Bf16x3] {
            assert_eq!(Isa::Amx.supports(precision), Isa::Amx.is_available());
        }
        assert_ne!(Backend::best().isa(), Isa::Amx);
    }

    #[test]
    fn a_refusal_names_what_to_use_instead() {
        let slower = Unsupported::Slower { isa: Isa::Avx512, precision: Precision::Bf16 };
        assert_eq!(
            slower.to_string(),
            "this processor's AVX-512 products in bf16 are slower than those in f32: use f32"
        );
    }

    #[test]
    fn rows_of_bf16_end_with_a_whole_word_or_run() {
        assert_eq!((Precision::F32.words(7), Precision::Bf16.words(7)), (7, 4));
        assert_eq!([0, 1, 32, 33].map(|values| Precision::Bf16x3.words(values)), [0, 32, 32, 64]);
    }
}
