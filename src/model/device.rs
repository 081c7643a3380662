//! Where a network runs: the CPU, or a GPU by its number.
//!
//! A build without the feature `cuda` and a machine without a driver need different remedies, so they are different errors.
//! `auto` is never an error: it takes a GPU if there is one, else the CPU, and says why only where a user could expect a GPU.
//! The driver lists the GPUs, so `CUDA_VISIBLE_DEVICES` holds, and a number counts the GPUs that it leaves visible.

use std::str::FromStr;

use candle_core::{Device, Error, Result};

/// What the command line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU if this build and machine have one, else the CPU.
    Auto,
    /// Here and nowhere else.
    On(ComputePlace),
}

/// Where a network runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComputePlace {
    /// The CPU, by our own kernels where there are some for the network.
    Cpu,
    /// The CPU, by the operations and in the batches of a GPU: what tests and comparisons use where there is no GPU.
    CpuBatched,
    /// The GPU of this number.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let numbered = |number: &str| number.parse().ok().map(|n| Self::On(ComputePlace::Cuda(n)));
        let choice = match text {
            "auto" => Some(Self::Auto),
            "cpu" => Some(Self::On(ComputePlace::Cpu)),
            "cpu-batched" => Some(Self::On(ComputePlace::CpuBatched)),
            "cuda" => Some(Self::On(ComputePlace::Cuda(0))),
            _ => text.strip_prefix("cuda:").and_then(numbered),
        };
        choice.ok_or_else(|| "expected auto, cpu, cuda, or cuda:N with the GPU's number from 0".into())
    }
}

impl std::fmt::Display for ComputePlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::CpuBatched => f.write_str("cpu-batched"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// Why a GPU cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The program lacks the code.
    #[error(
        "this build of lift has no CUDA: build it with scripts/build_cuda.sh (or cargo build --release --features \
         cuda), or use --device cpu"
    )]
    NotBuilt,
    /// The machine lacks the driver.
    #[error(
        "no NVIDIA driver on this machine (libcuda.so.1 is not there): run where nvidia-smi lists a GPU, or use \
         --device cpu"
    )]
    NoDriver,
    /// There is a driver, but nothing that it drives.
    #[error(
        "the NVIDIA driver shows no GPU: run where nvidia-smi lists one that CUDA_VISIBLE_DEVICES does not hide, or use \
         --device cpu"
    )]
    NoGpu,
    /// The driver shows no GPU of this number.
    #[error(
        "no GPU number {number}: the driver shows {count}, counted from 0, without those that CUDA_VISIBLE_DEVICES hides; \
         name one of them, or use --device cpu"
    )]
    NoSuchGpu {
        /// The number asked for.
        number: usize,
        /// How many there are.
        count: usize,
    },
    /// It is there but does not work.
    #[error("the GPU {number} cannot be used: {cause}; check with nvidia-smi, or use --device cpu")]
    Failed {
        /// The number asked for.
        number: usize,
        /// What CUDA said.
        cause: String,
    },
}

impl DeviceChoice {
    /// Settles where to run; with `auto` also why it is not a GPU, where that deserves a word.
    ///
    /// # Errors
    /// If the device is not available.
    pub fn settle(self) -> std::result::Result<(ComputePlace, Option<String>), DeviceError> {
        match self {
            Self::On(place) => place.check().map(|()| (place, None)),
            Self::Auto => Ok(match ComputePlace::Cuda(0).check() {
                Ok(()) => (ComputePlace::Cuda(0), None),
                // A program without CUDA has always run on the CPU: that is no news.
                Err(DeviceError::NotBuilt) => (ComputePlace::Cpu, None),
                Err(error) => (ComputePlace::Cpu, Some(format!("{}; running on the CPU", error.briefly()))),
            }),
        }
    }
}

impl DeviceError {
    /// What is wrong, without the remedies.
    fn briefly(&self) -> String {
        if let Self::Failed { number, cause } = self {
            return format!("the GPU {number} cannot be used: {cause}");
        }
        let text = self.to_string();
        text.split([':', ';']).next().unwrap_or(&text).to_string()
    }
}

impl ComputePlace {
    /// The kind of device, without its number: shards of one run may use different ones of a kind.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Cpu | Self::CpuBatched => "cpu",
            Self::Cuda(_) => "cuda",
        }
    }

    /// Whether networks can run there.
    ///
    /// # Errors
    /// If it is a GPU that is not available.
    fn check(self) -> std::result::Result<(), DeviceError> {
        match self {
            Self::Cpu | Self::CpuBatched => Ok(()),
            Self::Cuda(number) => cuda::check(number),
        }
    }

    /// candle's name for it. Every call on a GPU opens another stream of work on it; tensors of one stream can only be
    /// combined with each other.
    ///
    /// # Errors
    /// If the GPU does not work.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu | Self::CpuBatched => Ok(Device::Cpu),
            Self::Cuda(number) => cuda::open(number),
        }
    }

    /// The GPU's name; for the CPU none.
    pub fn name(self) -> Option<String> {
        match self {
            Self::Cuda(number) => cuda::name(number),
            Self::Cpu | Self::CpuBatched => None,
        }
    }
}

/// The free bytes of a GPU; none for the CPU, or where the driver does not say.
pub fn free_memory(device: &Device) -> Option<usize> {
    cuda::free_memory(device)
}

/// Whether an operation failed because the GPU's memory is full.
pub fn is_out_of_memory(error: &Error) -> bool {
    match error {
        Error::WithBacktrace { inner, .. } | Error::Context { inner, .. } | Error::WithPath { inner, .. } => {
            is_out_of_memory(inner)
        }
        Error::Cuda(error) => cuda::is_out_of_memory(&**error),
        _ => false,
    }
}

#[cfg(feature = "cuda")]
mod cuda {
    use std::sync::OnceLock;

    use candle_core::cuda::CudaError;
    use candle_core::cuda::cudarc::cublas::{result::CublasError, sys::cublasStatus_t};
    use candle_core::cuda::cudarc::driver::{DriverError, result, sys::CUmemPool_attribute, sys::CUresult};
    use candle_core::{Device, Result};

    use super::DeviceError;
    use crate::model::cause;

    /// The GPU this process runs on.
    static CHECKED: OnceLock<Device> = OnceLock::new();

    pub fn check(number: usize) -> std::result::Result<(), DeviceError> {
        let failed = |cause: String| DeviceError::Failed { number, cause };
        let count = result::init().and_then(|()| result::device::get_count());
        let count = match count {
            Ok(count) => usize::try_from(count).unwrap_or(0),
            // The stub library answers this where there is no driver.
            Err(DriverError(CUresult::CUDA_ERROR_STUB_LIBRARY)) => return Err(DeviceError::NoDriver),
            Err(DriverError(CUresult::CUDA_ERROR_NO_DEVICE)) => 0,
            Err(error) => return Err(failed(error.to_string())),
        };
        if count == 0 {
            return Err(DeviceError::NoGpu);
        }
        if number >= count {
            return Err(DeviceError::NoSuchGpu { number, count });
        }
        let device = Device::new_cuda_with_stream(number).map_err(|error| failed(cause(&error)))?;
        // Kept: with the last of its devices a GPU's context goes, which takes the driver a while to make anew.
        CHECKED.get_or_init(|| device);
        Ok(())
    }

    pub fn open(number: usize) -> Result<Device> {
        // candle's default, said again because parity depends on it: f32 is f32, not TF32.
        candle_core::cuda::set_gemm_reduced_precision_f32(false);
        // With a stream of its own, whichever thread issues the work: candle's other way takes a stream per thread,
        // between which nothing keeps the order.
        let device = Device::new_cuda_with_stream(number)?;
        if let Err(error) = keep_memory(number) {
            tracing::debug!("the GPU's freed memory goes back to the driver: {error}");
        }
        Ok(device)
    }

    /// Leaves what is freed with this process. The driver would otherwise take it back whenever somebody waits for a stream,
    /// after each batch, and the next one would have to ask for it again (CUDA's `CU_MEMPOOL_ATTR_RELEASE_THRESHOLD`,
    /// by default 0).
    fn keep_memory(number: usize) -> std::result::Result<(), DriverError> {
        let device = result::device::get(i32::try_from(number).unwrap_or(i32::MAX))?;
        let mut threshold = u64::MAX;
        // SAFETY: the device is one of the driver's, its default pool exists as long as it, and this attribute's value is
        // an unsigned number of 64 bits, which is read before the call returns.
        unsafe {
            let pool = result::device::get_default_mem_pool(device)?;
            let attribute = CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
            result::mem_pool::set_attribute(pool, attribute, (&raw mut threshold).cast())
        }
    }

    pub fn name(number: usize) -> Option<String> {
        let device = result::device::get(i32::try_from(number).ok()?).ok()?;
        result::device::get_name(device).ok()
    }

    pub fn free_memory(device: &Device) -> Option<usize> {
        let device = device.as_cuda_device().ok()?;
        device.cuda_stream().context().mem_get_info().ok().map(|(free, _)| free)
    }

    pub fn is_out_of_memory(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
        match error.downcast_ref::<CudaError>() {
            // Kernels are loaded when they are first used, and take memory as well.
            Some(CudaError::Cuda(DriverError(code)) | CudaError::Load { cuda: DriverError(code), .. }) => {
                *code == CUresult::CUDA_ERROR_OUT_OF_MEMORY
            }
            Some(CudaError::Cublas(CublasError(code))) => *code == cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED,
            _ => false,
        }
    }
}

#[cfg(not(feature = "cuda"))]
mod cuda {
    use candle_core::{Device, Error, Result};

    use super::DeviceError;

    pub fn check(_: usize) -> std::result::Result<(), DeviceError> {
        Err(DeviceError::NotBuilt)
    }

    pub fn open(_: usize) -> Result<Device> {
        Err(Error::Msg(DeviceError::NotBuilt.to_string()))
    }

    pub fn name(_: usize) -> Option<String> {
        None
    }

    pub fn free_memory(_: &Device) -> Option<usize> {
        None
    }

    pub fn is_out_of_memory(_: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_auto_the_cpu_or_a_numbered_gpu() {
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        assert_eq!("cpu".parse(), Ok(DeviceChoice::On(ComputePlace::Cpu)));
        assert_eq!("cuda".parse(), Ok(DeviceChoice::On(ComputePlace::Cuda(0))));
        assert_eq!("cuda:3".parse(), Ok(DeviceChoice::On(ComputePlace::Cuda(3))));
        for wrong in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0"] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn without_cuda_auto_is_the_cpu_in_silence_and_cuda_is_refused_with_the_remedy() {
        assert_eq!(DeviceChoice::Auto.settle(), Ok((ComputePlace::Cpu, None)));
        let error = DeviceChoice::On(ComputePlace::Cuda(0)).settle().unwrap_err();
        assert_eq!(error, DeviceError::NotBuilt);
        assert!(error.to_string().contains("scripts/build_cuda.sh"), "{error}");
    }

    #[test]
    fn what_auto_says_leaves_the_remedies_out() {
        assert_eq!(
            DeviceError::NoDriver.briefly(),
            "no NVIDIA driver on this machine (libcuda.so.1 is not there)"
        );
        assert_eq!(DeviceError::NoGpu.briefly(), "the NVIDIA driver shows no GPU");
        let failed = DeviceError::Failed { number: 0, cause: "CUDA_ERROR_UNKNOWN: 999".into() };
        assert_eq!(failed.briefly(), "the GPU 0 cannot be used: CUDA_ERROR_UNKNOWN: 999");
    }

    #[test]
    fn other_errors_are_not_taken_for_full_memory() {
        assert!(!is_out_of_memory(&Error::Msg("out of memory".into())));
        assert!(!is_out_of_memory(&Error::Cuda("something else".into())));
    }
}
