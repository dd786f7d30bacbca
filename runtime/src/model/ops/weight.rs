//! The matrix of a linear map: plain, or packed in a few bits a number.
//!
//! A packed matrix stays as the file had it and becomes f32 for the time of one product. So a frozen model
//! costs the memory of its file, and a pass costs one matrix more at a time.

use std::fmt;
use std::sync::Arc;

use candle_core::{Device, Result, Tensor, bail, quantized::QTensor};

/// A packed matrix `[out, in]`, in one of GGUF's block formats.
pub struct PackedMatrix {
    matrix: QTensor,
    rows: usize,
    columns: usize,
}

impl fmt::Debug for PackedMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackedMatrix({:?}, {} x {})", self.matrix.dtype(), self.rows, self.columns)
    }
}

impl PackedMatrix {
    /// Takes a packed tensor of two dimensions.
    ///
    /// # Errors
    /// If it has another number of dimensions.
    pub fn new(matrix: QTensor) -> Result<Self> {
        let (rows, columns) = matrix.shape().dims2()?;
        Ok(Self { matrix, rows, columns })
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.matrix.storage_size_in_bytes()
    }
}

/// The weight of a linear map, `[out, in]`.
#[derive(Clone, Debug)]
pub enum MapWeight {
    /// f32, trained or frozen.
    Dense(Tensor),
    /// Packed, frozen.
    Packed(Arc<PackedMatrix>),
}

impl MapWeight {
    /// The f32 matrix: of a packed weight a new one.
    ///
    /// # Errors
    /// If the device fails.
    pub fn dense(&self) -> Result<Tensor> {
        match self {
            Self::Dense(tensor) => Ok(tensor.clone()),
            Self::Packed(packed) => packed.matrix.dequantize(&Device::Cpu),
        }
    }

    /// Rows and columns.
    ///
    /// # Errors
    /// If a plain weight is no matrix.
    pub fn dims2(&self) -> Result<(usize, usize)> {
        match self {
            Self::Dense(tensor) => tensor.dims2(),
            Self::Packed(packed) => Ok((packed.rows, packed.columns)),
        }
    }

    /// Where the weight is.
    #[must_use]
    pub fn device(&self) -> &Device {
        match self {
            Self::Dense(tensor) => tensor.device(),
            Self::Packed(_) => &Device::Cpu,
        }
    }

    /// The same storage, without gradient tracking.
    #[must_use]
    pub fn detach(&self) -> Self {
        match self {
            Self::Dense(tensor) => Self::Dense(tensor.detach()),
            Self::Packed(packed) => Self::Packed(Arc::clone(packed)),
        }
    }

    /// Checks that a plain weight is where its input is: packed ones are used on the CPU only.
    pub(super) fn check(&self, x: &Tensor) -> Result<()> {
        match (self, x.device()) {
            (Self::Packed(_), device) if !matches!(device, Device::Cpu) => {
                bail!("packed weights are used on the CPU only")
            }
            _ => Ok(()),
        }
    }
}
