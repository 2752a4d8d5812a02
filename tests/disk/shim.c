/* What a child does to the disk, in one ordered log; and faults, on demand.
 *
 * Loaded with LD_PRELOAD. It does not stand in for the functions of libc: rustix, which tempfile renames with, and whoever else makes system
 * calls of its own would pass by it. Instead a seccomp filter stops every call that changes a file, wherever it is made, and hands it to
 * `stopped` as SIGSYS; that one function looks, logs, fails or performs. The calls of this file pass the filter, for they are all made at one
 * address, `gate`.
 *
 *   DISK_ROOT    the folder that is watched; without it nothing is
 *   DISK_LOG     where the log goes, outside that folder
 *   DISK_MARKS   a file outside that folder: what is written to it goes into the log as well, in its place among the effects
 *   DISK_FAIL    "<n> <errno> <once|short|stay>": the n-th effect below DISK_FAIL_UNDER fails. `short`: a write does half of its work, and the
 *                next write fails; `stay`: every later effect there fails as well
 *   DISK_FAIL_UNDER  the beginning of the paths that are counted
 *   DISK_LIE     "<end of a path>": syncs of such files answer 0, are not done, and are not in the log
 *
 * A changing call that is not modelled here ends the child, when it is about the watched folder: a log with gaps would prove nothing. The index
 * of SQLite's log (`-shm`) is the one file that may be mapped to write; it is in the log only with the calls on it, and no replay uses it.
 * The trail (`audit.db` and what begins with it) is passed by: nothing that is signed depends on it, and it is made without a name first.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>

/* One system call, made where the filter lets it pass: what it answers is the kernel's own, -errno for a failure. */
long gate(long number, long a, long b, long c, long d, long e, long f);
extern char gate_back[];
#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#define ARG(u, i) ((u)->uc_mcontext.gregs[(const int[]){REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9}[i]])
#define ANSWER(u) ((u)->uc_mcontext.gregs[REG_RAX])
__asm__(".text\n.globl gate\n.type gate,@function\ngate:\n mov %rdi,%rax\n mov %rsi,%rdi\n mov %rdx,%rsi\n mov %rcx,%rdx\n mov %r8,%r10\n"
        " mov %r9,%r8\n mov 8(%rsp),%r9\n syscall\n.globl gate_back\ngate_back:\n ret\n");
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#define ARG(u, i) ((u)->uc_mcontext.regs[i])
#define ANSWER(u) ((u)->uc_mcontext.regs[0])
__asm__(".text\n.globl gate\n.type gate,%function\ngate:\n mov x8,x0\n mov x0,x1\n mov x1,x2\n mov x2,x3\n mov x3,x4\n mov x4,x5\n mov x5,x6\n"
        " svc #0\n.globl gate_back\ngate_back:\n ret\n");
#else
#error "tests/disk/shim.c knows x86-64 and aarch64; another machine needs its six arguments, its answer and its gate"
#endif
#define CALL(n, ...) CALL_(n, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define CALL_(n, a, b, c, d, e, f, ...) gate(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* Calls that change a file, in the order of the filter. Those that newer machines lack are left out there. */
static const int stop_always[] = {
    SYS_write, SYS_pwrite64, SYS_writev, SYS_pwritev, SYS_pwritev2, SYS_ftruncate, SYS_truncate, SYS_fallocate, SYS_fsync, SYS_fdatasync,
    SYS_sync_file_range, SYS_renameat, SYS_renameat2, SYS_unlinkat, SYS_linkat, SYS_mkdirat, SYS_symlinkat, SYS_mknodat, SYS_copy_file_range,
    SYS_sendfile, SYS_splice, SYS_vmsplice, SYS_tee, SYS_openat2, SYS_io_uring_setup, SYS_io_submit,
#ifdef SYS_rename
    SYS_rename, SYS_unlink, SYS_link, SYS_mkdir, SYS_rmdir, SYS_symlink, SYS_mknod, SYS_creat,
#endif
};

/* One entry of the log; path, second path and data follow it. `answer` is what the child was told, `number` counts effects below
 * DISK_FAIL_UNDER, `is_fault` says that the answer was made here. */
struct entry {
    uint32_t kind, is_fault, path_len, other_len;
    uint64_t inode, at, len, data_len, number;
    int64_t answer;
};

static char root[PATH_MAX], marks[PATH_MAX], fail_under[PATH_MAX], lie[64], fail_mode;
static size_t root_len;
static long fail_at, fail_errno;
static uint64_t effects;
static int log_fd, half_done;
static char locked;

static long pass(const long *call) { return gate(call[0], call[1], call[2], call[3], call[4], call[5], call[6]); }

static void die(const char *why, const char *what) {
    struct iovec text[] = {{"tests/disk/shim.c: ", 19}, {(void *)why, strlen(why)}, {": ", 2}, {(void *)what, strlen(what)}, {"\n", 1}};
    CALL(SYS_writev, 2, text, 5);
    CALL(SYS_exit_group, 97);
}

static int begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }
static int ends(const char *text, const char *with) {
    size_t len = strlen(text), with_len = strlen(with);
    return with_len && len >= with_len && strcmp(text + len - with_len, with) == 0;
}

/* The trail, or a file that has no name yet: the kernel calls it #NUMBER, and only the trail is made so (a name that it gets is looked at). */
static int is_trail(const char *path) {
    const char *name = strrchr(path, '/');
    return name && (begins(name, "/audit.db") || (begins(name, "/#") && ends(name, " (deleted)")));
}

static int is_watched(const char *path) {
    return root_len && begins(path, root) && (path[root_len] == '/' || !path[root_len]) && !is_trail(path);
}

/* The path behind a descriptor, whatever it was opened as. */
static char *path_of(long fd, char *out) {
    char link[40] = "/proc/self/fd/", digits[20];
    int at = 20;
    for (digits[--at] = 0; fd >= 0 && (fd || at == 19); fd /= 10) digits[--at] = '0' + fd % 10;
    strcat(link, digits + at);
    long len = CALL(SYS_readlinkat, AT_FDCWD, link, out, PATH_MAX - 1);
    out[len < 0 ? 0 : len] = 0;
    return out;
}

/* The path that is meant by a folder's descriptor and a name, with nothing symbolic in it but perhaps the last part. */
static char *path_at(long fd, const char *name, char *out) {
    char folder[PATH_MAX];
    const char *last = strrchr(name, '/');
    size_t len = last ? (size_t)(last - name) + 1 : 0;
    if (len >= PATH_MAX) die("a path too long", name);
    memcpy(folder, name, len);
    strcpy(folder + len, len ? "" : ".");
    long there = CALL(SYS_openat, fd, folder, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (there < 0) return *out = 0, out;
    path_of(there, out);
    CALL(SYS_close, there);
    if (strlen(out) + strlen(name + len) + 2 > PATH_MAX) die("a path too long", name);
    return strcat(strcat(out, "/"), name + len);
}

static uint64_t inode_at(const char *path, uint64_t *size) {
    struct stat found;
    if (CALL(SYS_newfstatat, AT_FDCWD, path, &found, AT_SYMLINK_NOFOLLOW) < 0) return 0;
    if (size) *size = found.st_size;
    return found.st_ino;
}

static uint64_t inode_of(long fd) {
    struct stat found;
    return CALL(SYS_fstat, fd, &found) < 0 ? 0 : found.st_ino;
}

static void tell(struct entry *entry, const char *path, const char *other, const void *data) {
    entry->path_len = strlen(path), entry->other_len = strlen(other);
    struct iovec parts[] = {{entry, sizeof *entry}, {(void *)path, entry->path_len}, {(void *)other, entry->other_len}, {(void *)data, entry->data_len}};
    long len = sizeof *entry + entry->path_len + entry->other_len + entry->data_len;
    if (CALL(SYS_writev, log_fd, parts, 4) != len) die("the log cannot be written", path);
}

/* Counts an effect, and answers whether it fails, with how: the negative errno, or 1 for a write that does half of its work. */
static long fault(struct entry *entry, const char *path) {
    if (!fail_under[0] || !begins(path, fail_under)) return 0;
    entry->number = ++effects;
    int is_write = entry->kind == 'W', stays = fail_mode == 't' && fail_at && effects > (uint64_t)fail_at;
    if (half_done && is_write) return half_done = 0, entry->is_fault = 1, -fail_errno;
    if (!fail_at || (effects != (uint64_t)fail_at && !stays)) return 0;
    if (fail_mode == 'h' && is_write) return half_done = 1;
    return entry->is_fault = 1, -fail_errno;
}

/* Performs an effect on a watched path, or fails it, and logs it in either case. */
static long effect(struct entry entry, const char *path, const char *other, const void *data, const long *call) {
    long failed = fault(&entry, path), len = call[3];
    if (failed == 1) len = len / 2 ? len / 2 : len;
    entry.answer = failed < 0 ? failed : gate(call[0], call[1], call[2], entry.kind == 'W' ? len : call[3], call[4], call[5], call[6]);
    if (entry.kind == 'W') {
        entry.data_len = entry.answer > 0 ? entry.answer : 0;
        // Appending writes know their place only afterwards; for the others it is the same.
        if (call[0] == SYS_write && entry.answer > 0) entry.at = CALL(SYS_lseek, call[1], 0, SEEK_CUR) - entry.answer;
    }
    if (entry.kind == 'C' && entry.answer >= 0) entry.inode = inode_of(entry.answer);
    tell(&entry, path, other, data);
    return entry.answer;
}

/* Opening changes the folder when it makes a file, and the file when it empties it. */
static long opened(const long *call, long fd, const char *name, long flags) {
    char path[PATH_MAX];
    uint64_t size = 0, inode;
    if (!is_watched(path_at(fd, name, path))) return pass(call);
    if ((flags & O_TMPFILE) == O_TMPFILE) return pass(call);
    inode = inode_at(path, &size);
    if (!inode) return effect((struct entry){.kind = 'C'}, path, "", "", call);
    if (flags & O_TRUNC && size) return effect((struct entry){.kind = 'T', .inode = inode}, path, "", "", call);
    return pass(call);
}

static long on_file(const long *call, int kind, long at, long len, const void *data) {
    // Behind the first sync of the trail's log SQLite syncs the folder, for that name alone, and does not look whether it could.
    static int of_trail;
    char path[PATH_MAX];
    path_of(call[1], path);
    const int is_of_trail = of_trail && kind == 'S' && ends(path, "/desk");
    of_trail = kind == 'S' && is_trail(path) && ends(path, "-wal");
    if (is_of_trail) return pass(call);
    if (kind == 'W' && marks[0] && strcmp(path, marks) == 0) tell(&(struct entry){.kind = 'K', .data_len = len}, path, "", data);
    if (!is_watched(path)) return pass(call);
    if (!kind) die("a call that is not modelled", path);
    if (kind == 'S' && ends(path, lie)) return 0;
    return effect((struct entry){.kind = kind, .inode = inode_of(call[1]), .at = at, .len = len}, path, "", data, call);
}

static long on_name(const long *call, int kind, long fd, const char *name) {
    char path[PATH_MAX];
    if (!is_watched(path_at(fd, name, path))) return pass(call);
    if (!kind) die("a call that is not modelled", path);
    return effect((struct entry){.kind = kind, .inode = inode_at(path, 0)}, path, "", "", call);
}

static long on_names(const long *call, int kind, long fd, const char *name, long other_fd, const char *other_name) {
    char path[PATH_MAX], other[PATH_MAX];
    struct stat found;
    if (!is_watched(path_at(fd, name, path)) & !is_watched(path_at(other_fd, other_name, other))) return pass(call);
    // The trail gets its name from a descriptor; whatever else did would move over the edge.
    if (is_trail(other)) return pass(call);
    if (!is_watched(path) || !is_watched(other)) die("a file moves over the edge of the watched folder", path);
    if (CALL(SYS_newfstatat, AT_FDCWD, path, &found, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(found.st_mode)) die("only files move here", path);
    return effect((struct entry){.kind = kind, .inode = inode_at(path, 0)}, path, other, "", call);
}

static long answer_to(const long *c) {
    char path[PATH_MAX];
    switch (c[0]) {
    case SYS_write: return on_file(c, 'W', 0, c[3], (void *)c[2]);
    case SYS_pwrite64: return on_file(c, 'W', c[4], c[3], (void *)c[2]);
    case SYS_ftruncate: return on_file(c, 'T', 0, c[2], "");
    case SYS_fallocate: return on_file(c, c[2] ? 0 : 'A', c[3], c[4], "");
    case SYS_fsync: case SYS_fdatasync: return on_file(c, 'S', 0, 0, "");
    case SYS_writev: case SYS_pwritev: case SYS_pwritev2: case SYS_sync_file_range: case SYS_sendfile: case SYS_vmsplice:
        return on_file(c, 0, 0, 0, "");
    case SYS_openat: return opened(c, c[1], (char *)c[2], c[3]);
    case SYS_unlinkat: return on_name(c, c[3] & AT_REMOVEDIR ? 0 : 'U', c[1], (char *)c[2]);
    case SYS_mkdirat: return on_name(c, 'M', c[1], (char *)c[2]);
    case SYS_mknodat: case SYS_openat2: return on_name(c, 0, c[1], (char *)c[2]);
    case SYS_symlinkat: return on_name(c, 0, c[2], (char *)c[3]);
    case SYS_truncate: return on_name(c, 0, AT_FDCWD, (char *)c[1]);
    case SYS_renameat: return on_names(c, 'R', c[1], (char *)c[2], c[3], (char *)c[4]);
    case SYS_renameat2: return on_names(c, c[5] & ~1L ? 0 : 'R', c[1], (char *)c[2], c[3], (char *)c[4]);
    case SYS_linkat: return on_names(c, 'L', c[1], (char *)c[2], c[3], (char *)c[4]);
#ifdef SYS_rename
    case SYS_open: return opened(c, AT_FDCWD, (char *)c[1], c[2]);
    case SYS_creat: return on_name(c, 0, AT_FDCWD, (char *)c[1]);
    case SYS_unlink: return on_name(c, 'U', AT_FDCWD, (char *)c[1]);
    case SYS_mkdir: return on_name(c, 'M', AT_FDCWD, (char *)c[1]);
    case SYS_rmdir: case SYS_mknod: return on_name(c, 0, AT_FDCWD, (char *)c[1]);
    case SYS_symlink: return on_name(c, 0, AT_FDCWD, (char *)c[2]);
    case SYS_rename: return on_names(c, 'R', AT_FDCWD, (char *)c[1], AT_FDCWD, (char *)c[2]);
    case SYS_link: return on_names(c, 'L', AT_FDCWD, (char *)c[1], AT_FDCWD, (char *)c[2]);
#endif
    case SYS_copy_file_range: case SYS_splice: case SYS_tee:
        // The file that is written is the third argument, or the second.
        if (is_watched(path_of(c[c[0] == SYS_tee ? 2 : 3], path))) die("a call that is not modelled", path);
        return pass(c);
    case SYS_mmap:
        if (is_watched(path_of(c[5], path)) && !ends(path, "-shm")) die("a file mapped for all to see", path);
        return pass(c);
    default: die("a way to write that is not modelled", "io_uring or aio"); return -ENOSYS;
    }
}

static void stopped(int signal, siginfo_t *info, void *context) {
    ucontext_t *u = context;
    long call[7] = {info->si_syscall};
    (void)signal;
    for (int i = 0; i < 6; i++) call[i + 1] = ARG(u, i);
    while (__atomic_test_and_set(&locked, __ATOMIC_ACQUIRE)) CALL(SYS_sched_yield);
    ANSWER(u) = answer_to(call);
    __atomic_clear(&locked, __ATOMIC_RELEASE);
}

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF(test, value, yes, no) BPF_JUMP(BPF_JMP | (test) | BPF_K, (uint32_t)(value), yes, no)
#define END(how) BPF_STMT(BPF_RET | BPF_K, how)

/* Whatever does not come from the gate and changes a file is stopped; opening only when it may make or empty one, mapping only when shared. */
static void put_filter(void) {
    struct sock_filter code[160] = {
        LOAD(arch), IF(BPF_JEQ, ARCH, 1, 0), END(SECCOMP_RET_KILL_PROCESS),
        LOAD(instruction_pointer), IF(BPF_JEQ, (uintptr_t)gate_back, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4), IF(BPF_JEQ, (uint64_t)(uintptr_t)gate_back >> 32, 0, 1),
        END(SECCOMP_RET_ALLOW),
        LOAD(nr), IF(BPF_JEQ, SYS_mmap, 0, 3), LOAD(args[3]), IF(BPF_JSET, MAP_SHARED, 0, 1), END(SECCOMP_RET_TRAP),
        LOAD(nr), IF(BPF_JEQ, SYS_openat, 0, 3), LOAD(args[2]), IF(BPF_JSET, O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY), 0, 1), END(SECCOMP_RET_TRAP),
#ifdef SYS_rename
        LOAD(nr), IF(BPF_JEQ, SYS_open, 0, 3), LOAD(args[1]), IF(BPF_JSET, O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY), 0, 1), END(SECCOMP_RET_TRAP),
#endif
        LOAD(nr),
    };
    unsigned short len = 0;
    while (code[len].code) len++;
    for (size_t i = 0; i < sizeof stop_always / sizeof *stop_always; i++) {
        code[len++] = (struct sock_filter)IF(BPF_JEQ, stop_always[i], 0, 1);
        code[len++] = (struct sock_filter)END(SECCOMP_RET_TRAP);
    }
    code[len++] = (struct sock_filter)END(SECCOMP_RET_ALLOW);
    struct sock_fprog program = {len, code};
    if (CALL(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1) || CALL(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        die("this system lets no filter be put before system calls", "seccomp");
}

static void read_setting(const char *name, char *out, size_t most) {
    const char *value = getenv(name);
    if (value && strlen(value) >= most) die("a setting too long", name);
    strcpy(out, value ? value : "");
}

__attribute__((constructor)) static void begin(void) {
    char path[PATH_MAX], fail[64], *rest;
    read_setting("DISK_ROOT", root, sizeof root);
    read_setting("DISK_LOG", path, sizeof path);
    read_setting("DISK_MARKS", marks, sizeof marks);
    read_setting("DISK_FAIL_UNDER", fail_under, sizeof fail_under);
    read_setting("DISK_LIE", lie, sizeof lie);
    read_setting("DISK_FAIL", fail, sizeof fail);
    if (!(root_len = strlen(root))) return;
    fail_at = strtol(fail, &rest, 10);
    fail_errno = strtol(rest, &rest, 10);
    fail_mode = *rest ? rest[2] : 0;
    long fd = CALL(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    // Out of the way of the descriptors that the child would have had.
    log_fd = CALL(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 900);
    if (fd < 0 || log_fd < 0) die("the log cannot be made", path);
    CALL(SYS_close, fd);
    tell(&(struct entry){.kind = 'B'}, root, "", "");
    struct sigaction action = {.sa_sigaction = stopped, .sa_flags = SA_SIGINFO};
    sigfillset(&action.sa_mask);
    if (sigaction(SIGSYS, &action, 0)) die("no handler can be set", "SIGSYS");
    put_filter();
}
