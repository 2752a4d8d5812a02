//! The two calls on a block device that `rustix` has no safe form of. Nothing else is here: the product itself forbids `unsafe`.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt as _;

use rustix::ioctl::{NoArg, Setter, ioctl, opcode};

/// `BLKROSET` of `linux/fs.h`: `_IO(0x12, 93)`.
const SET_READ_ONLY: rustix::ioctl::Opcode = opcode::none(0x12, 93);
/// `BLKFLSBUF` of `linux/fs.h`: `_IO(0x12, 97)`.
const FLUSH: rustix::ioctl::Opcode = opcode::none(0x12, 97);

/// Tells the kernel to refuse, or to let through again, every write to this device, whoever asks.
///
/// A switch on the device is stronger: what it closed is not opened by this.
///
/// # Errors
/// Not a block device, and what the kernel answers: no permission, the device is gone.
pub fn set_read_only(device: &File, read_only: bool) -> std::io::Result<()> {
    refuse_others(device)?;
    // SAFETY: for a block device, which was just seen to be one, BLKROSET reads one C int through the pointer that `Setter` makes of its own
    // value, which lives until the call returns; the kernel writes nothing and keeps nothing.
    unsafe { ioctl(device.as_fd(), Setter::<SET_READ_ONLY, core::ffi::c_int>::new(i32::from(read_only)))? };
    Ok(())
}

/// Has everything written that the kernel holds for this device, and forgets what it has read of it: the next reading asks the device.
///
/// # Errors
/// Not a block device, and what the kernel answers: no permission, the device is gone.
pub fn flush_and_forget(device: &File) -> std::io::Result<()> {
    refuse_others(device)?;
    // SAFETY: for a block device, which was just seen to be one, BLKFLSBUF takes no argument, and neither reads nor writes memory of ours.
    unsafe { ioctl(device.as_fd(), NoArg::<FLUSH>::new())? };
    Ok(())
}

/// The number of a call means another thing on another kind of file.
fn refuse_others(device: &File) -> std::io::Result<()> {
    match device.metadata()?.file_type().is_block_device() {
        true => Ok(()),
        false => Err(rustix::io::Errno::NOTBLK.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `linux/fs.h` has them.
    #[test]
    fn the_numbers_are_those_of_the_kernel() {
        assert_eq!((SET_READ_ONLY, FLUSH), (0x125d, 0x1261));
    }

    #[test]
    fn what_is_no_block_device_is_refused_before_the_kernel_is_asked() {
        let null = File::open("/dev/null").map_err(|error| error.to_string());
        let null = null.as_ref().ok();
        let asked = null.map(|null| [set_read_only(null, true), flush_and_forget(null)]);
        let answers = asked.map(|both| both.map(|one| one.map_err(|error| error.raw_os_error())));
        assert_eq!(answers, Some([Err(Some(15)), Err(Some(15))]), "ENOTBLK");
    }
}
