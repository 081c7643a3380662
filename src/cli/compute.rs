//! The flags that say where and how the networks run, shared by every command that runs them.

use std::num::NonZeroUsize;

use candle_core::{DType, Device};
use clap::{Args, ValueEnum};

use super::report;
use crate::exit::Fatal;
use crate::kernels::{Backend, Precision, grad};
use crate::model::composed::Batched;
use crate::model::device::{ComputePlace, DeviceChoice};
use crate::threads;

/// What matrix products multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PrecisionArg {
    /// Single precision (on a GPU too: never TF32)
    F32,
    /// bfloat16 operands, f32 sums (on the CPU it needs AMX, or AMD's AVX512-BF16)
    Bf16,
    /// Operands in two bfloat16 parts, f32 sums: features within 1e-4 of f32's (CPU only, it needs AMX)
    #[value(name = "bf16x3")]
    Bf16x3,
    /// Half precision operands, f32 sums; on a GPU only
    F16,
}

/// Where and how the networks run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Compute")]
pub(super) struct ComputeArgs {
    /// Where the networks run: auto, cpu, cuda or cuda:N
    ///
    /// auto takes the first GPU if this build has CUDA (scripts/build_cuda.sh) and the machine has a GPU; otherwise the CPU.
    /// GPUs are numbered from 0, among those that CUDA_VISIBLE_DEVICES makes visible. More: lift help gpu.
    ///
    /// Example: --device cuda:1
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: DeviceChoice,
    /// Frames in one batch on a GPU; the frames of several videos share a batch [default: fitted to its memory]
    ///
    /// If a batch does not fit, it is halved. On the CPU each frame is computed by itself, and this flag has no effect.
    ///
    /// Example: --batch 256
    #[arg(long, value_name = "N")]
    batch: Option<NonZeroUsize>,
    /// Worker threads [default: one per core]
    ///
    /// Example: --threads 8
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Precision of the frame encoder's matrix products
    ///
    /// Example: --precision bf16
    #[arg(long, value_enum, default_value_t = PrecisionArg::F32)]
    precision: PrecisionArg,
}

/// What the flags come to on this machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compute {
    /// Where the networks run.
    pub(super) place: ComputePlace,
    /// Instruction set and precision of the kernels on the CPU.
    pub(super) backend: Backend,
    /// Where frames are encoded instead, if not by those kernels.
    pub(super) batched: Option<Batched>,
    /// Worker threads.
    pub(super) threads: NonZeroUsize,
}

impl ComputeArgs {
    /// The number of worker threads.
    pub(super) fn threads(&self) -> NonZeroUsize {
        self.threads.unwrap_or_else(threads::available)
    }

    /// Settles place and precision; where `auto` finds no GPU that could have been, or the CPU lacks the precision, a line
    /// says so.
    ///
    /// # Errors
    /// If the GPU asked for is not to be had.
    pub(super) fn settle(&self, quiet: bool) -> Result<Compute, Fatal> {
        let note = |text: &str| {
            if !quiet {
                report::note(text);
            }
        };
        let (place, why) = self.device.settle().map_err(Fatal::input)?;
        why.iter().for_each(|why| note(why));
        let batched = (place != ComputePlace::Cpu).then(|| Batched {
            place,
            dtype: match self.precision {
                PrecisionArg::F32 | PrecisionArg::Bf16x3 => DType::F32,
                PrecisionArg::Bf16 => DType::BF16,
                PrecisionArg::F16 => DType::F16,
            },
            frames: self.batch.map(NonZeroUsize::get),
        });
        let wanted = match (self.precision, &batched) {
            (PrecisionArg::F16, None) => {
                note("f16 is for GPUs; continuing in f32");
                Precision::F32
            }
            (PrecisionArg::Bf16x3, Some(_)) => {
                note("bf16x3 is for CPUs; continuing in f32");
                Precision::F32
            }
            (PrecisionArg::Bf16, None) => Precision::Bf16,
            (PrecisionArg::Bf16x3, None) => Precision::Bf16x3,
            _ => Precision::F32,
        };
        let backend = Backend::best_in(wanted).unwrap_or_else(|unsupported| {
            note(&format!("{unsupported}; continuing in f32"));
            Backend::best()
        });
        Ok(Compute { place, backend, batched, threads: self.threads() })
    }
}

impl Compute {
    /// The device, for a network that is trained there.
    ///
    /// # Errors
    /// If the GPU does not work.
    pub(super) fn device(&self) -> Result<Device, Fatal> {
        if self.place == ComputePlace::CpuBatched {
            grad::leave_out();
        }
        self.place.open().map_err(Fatal::input)
    }
}
