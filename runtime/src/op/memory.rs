//! Memory for results, refused with the name of the result where the system has none to give.

use super::RuntimeError;

/// Asks for `rows` x `columns` values and gives them back; their number.
///
/// # Errors
/// If that many do not fit in memory.
pub(super) fn room<T>(
    argument: &'static str,
    rows: usize,
    columns: usize,
) -> Result<usize, RuntimeError> {
    let none = || {
        let bytes = rows as f64 * columns as f64 * size_of::<T>() as f64;
        RuntimeError::argument(
            argument,
            format!(
                "{rows} rows of {columns} need {:.1} GiB, more than the memory has",
                bytes / (1u64 << 30) as f64
            ),
        )
    };
    let len = rows.checked_mul(columns).ok_or_else(none)?;
    Vec::<T>::new().try_reserve_exact(len).map_err(|_| none())?;
    Ok(len)
}

/// `rows` x `columns` zeros.
///
/// # Errors
/// If that many do not fit in memory.
pub(super) fn zeros<T: Copy + Default>(
    argument: &'static str,
    rows: usize,
    columns: usize,
) -> Result<Vec<T>, RuntimeError> {
    // The macro takes zeroed pages from the system but ends the process where there are none.
    Ok(vec![T::default(); room::<T>(argument, rows, columns)?])
}
