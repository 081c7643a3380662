/* Faults of a machine, put between the program and the system's library by LD_PRELOAD. tests/it/faults.rs compiles it.
 *
 * FAULT_NAME   only files whose path has this text
 * FAULT_AFTER  reads of them fail with an input/output error after so many bytes
 * FAULT_SHORT  reads of them give at most so many bytes at a time, and every third is interrupted first
 * FAULT_SHRINK a mapped file loses its bytes as soon as it is mapped
 * FAULT_CALLS  a file that gets a line for every attempt to reach the network, which fails
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static int meant(int fd, char *path, size_t size) {
    const char *name = getenv("FAULT_NAME");
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = name ? readlink(link, path, size - 1) : -1;
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, name) != NULL;
}

ssize_t read(int fd, void *buffer, size_t count) {
    static ssize_t (*real)(int, void *, size_t);
    static size_t taken;
    static unsigned turn;
    char path[4096];
    if (!real) real = (ssize_t(*)(int, void *, size_t))dlsym(RTLD_NEXT, "read");
    if (!meant(fd, path, sizeof path)) return real(fd, buffer, count);
    const char *after = getenv("FAULT_AFTER"), *at_most = getenv("FAULT_SHORT");
    if (after && taken >= strtoul(after, NULL, 10)) {
        errno = EIO;
        return -1;
    }
    if (at_most) {
        if (++turn % 3 == 0) {
            errno = EINTR;
            return -1;
        }
        if (count > strtoul(at_most, NULL, 10)) count = strtoul(at_most, NULL, 10);
    }
    ssize_t got = real(fd, buffer, count);
    if (got > 0) taken += got;
    return got;
}

static void *mapped(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    static void *(*real)(void *, size_t, int, int, int, off_t);
    char path[4096];
    if (!real) real = (void *(*)(void *, size_t, int, int, int, off_t))dlsym(RTLD_NEXT, "mmap");
    void *result = real(address, length, protection, flags, fd, offset);
    if (fd >= 0 && getenv("FAULT_SHRINK") && meant(fd, path, sizeof path) && truncate(path, 0)) abort();
    return result;
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    return mapped(address, length, protection, flags, fd, offset);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    return mapped(address, length, protection, flags, fd, offset);
}

static void told(const char *call) {
    const char *file = getenv("FAULT_CALLS");
    int fd = file ? open(file, O_WRONLY | O_APPEND | O_CREAT, 0644) : -1;
    if (fd < 0) return;
    if (write(fd, call, strlen(call)) < 0) abort();
    close(fd);
}

int connect(int fd, const struct sockaddr *address, socklen_t length) {
    (void)fd, (void)address, (void)length;
    told("connect\n");
    errno = ENETUNREACH;
    return -1;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
    (void)node, (void)service, (void)hints, (void)result;
    told("getaddrinfo\n");
    return EAI_AGAIN;
}
