//! What the first process asks of the kernel: mounts, modules, hardening, devices, power. Every call that needs to be root is made here.
