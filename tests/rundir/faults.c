/* Lets the k-th call on files below a folder fail once. Loaded by LD_PRELOAD, it stands between
   the C library and Python, Orbax and TensorStore alike; see faulty.py. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls, fatal;
static int number;
static char folder[4096], failed[8192];

void faults_arm(const char *below, long call, int error) {
    snprintf(folder, sizeof folder, "%s", below);
    failed[0] = 0;
    calls = 0;
    fatal = call;
    number = error;
}

long faults_calls(void) { return calls; }

const char *faults_failed(void) { return failed; }

static int fails(const char *what, const char *path) {
    if (!folder[0] || !path || strncmp(path, folder, strlen(folder))) return 0;
    if (atomic_fetch_add(&calls, 1) + 1 != fatal) return 0;
    snprintf(failed, sizeof failed, "%s %s", what, path);
    errno = number;
    return 1;
}

static int fails_open(const char *what, int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fails(what, path);
}

static int fails_at(const char *what, int where, const char *name) {
    char link[64], path[8192];
    if (!name || name[0] == '/' || where == AT_FDCWD) return fails(what, name);
    snprintf(link, sizeof link, "/proc/self/fd/%d", where);
    ssize_t length = readlink(link, path, 4095);
    if (length < 0) return 0;
    snprintf(path + length, sizeof path - length, "/%s", name);
    return fails(what, path);
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define OPEN(name)                                       \
    int name(const char *path, int flags, ...) {         \
        REAL(name);                                      \
        va_list more;                                    \
        va_start(more, flags);                           \
        mode_t mode = va_arg(more, mode_t);              \
        va_end(more);                                    \
        return fails("open", path) ? -1 : real(path, flags, mode); \
    }
#define OPENAT(name)                                     \
    int name(int where, const char *path, int flags, ...) { \
        REAL(name);                                      \
        va_list more;                                    \
        va_start(more, flags);                           \
        mode_t mode = va_arg(more, mode_t);              \
        va_end(more);                                    \
        return fails_at("open", where, path) ? -1 : real(where, path, flags, mode); \
    }
#define CALL(type, name, parameters, failing, arguments) \
    type name parameters {                               \
        REAL(name);                                      \
        return failing ? (type)-1 : real arguments;      \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
CALL(ssize_t, read, (int f, void *b, size_t n), fails_open("read", f), (f, b, n))
CALL(ssize_t, pread, (int f, void *b, size_t n, off_t o), fails_open("read", f), (f, b, n, o))
CALL(ssize_t, pread64, (int f, void *b, size_t n, off64_t o), fails_open("read", f), (f, b, n, o))
CALL(ssize_t, write, (int f, const void *b, size_t n), fails_open("write", f), (f, b, n))
CALL(ssize_t, writev, (int f, const struct iovec *v, int n), fails_open("write", f), (f, v, n))
CALL(ssize_t, pwrite, (int f, const void *b, size_t n, off_t o), fails_open("write", f),
     (f, b, n, o))
CALL(ssize_t, pwrite64, (int f, const void *b, size_t n, off64_t o), fails_open("write", f),
     (f, b, n, o))
CALL(int, fsync, (int f), fails_open("fsync", f), (f))
CALL(int, fdatasync, (int f), fails_open("fsync", f), (f))
CALL(int, rename, (const char *a, const char *b), fails("rename", a), (a, b))
CALL(int, renameat, (int d, const char *a, int e, const char *b), fails_at("rename", d, a),
     (d, a, e, b))
CALL(int, mkdir, (const char *p, mode_t m), fails("mkdir", p), (p, m))
CALL(int, mkdirat, (int d, const char *p, mode_t m), fails_at("mkdir", d, p), (d, p, m))
CALL(int, unlink, (const char *p), fails("unlink", p), (p))
CALL(int, unlinkat, (int d, const char *p, int g), fails_at("unlink", d, p), (d, p, g))
CALL(int, rmdir, (const char *p), fails("rmdir", p), (p))

DIR *opendir(const char *path) {
    REAL(opendir);
    return fails("list", path) ? NULL : real(path);
}

DIR *fdopendir(int file) {
    REAL(fdopendir);
    return fails_open("list", file) ? NULL : real(file);
}
