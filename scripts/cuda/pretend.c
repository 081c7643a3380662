/* A GPU that computes nothing, for check.sh. This file replaces CUDA's driver and its libraries, under the names by which they are loaded.
 *
 * GPU memory is the host's memory and holds zeros, and kernels and products do nothing, so every feature is zero. This tests the path
 * through the program, and how it handles faults. The PRETEND_* variables cause faults:
 *
 *   INIT, BLAS, GEMM  the status that initialising, opening the matrix library, and a product return
 *   COUNT             the number of GPUs (default: 1)
 *   MB                the memory of a GPU in megabytes
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long address;

enum { OUT_OF_MEMORY = 2, INVALID_DEVICE = 101, MEGABYTE = 1 << 20, HEAD = 64 };
enum { MEMORY_POOLS = 115, COMPUTE_MAJOR = 75, COMPUTE_MINOR = 76 };

static atomic_long used;

static long set(const char *name, long otherwise) {
    const char *value = getenv(name);
    return value ? atol(value) : otherwise;
}

static long room(void) { return set("PRETEND_MB", 80000) * MEGABYTE; }

int cuInit(unsigned flags) { return set("PRETEND_INIT", 0); }
int cuDeviceGetCount(int *count) { return *count = set("PRETEND_COUNT", 1), 0; }
int cuDeviceGet(int *device, int number) {
    return *device = number, number < set("PRETEND_COUNT", 1) ? 0 : INVALID_DEVICE;
}
int cuDeviceGetName(char *name, int size, int device) { return snprintf(name, size, "pretend GPU %d", device), 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == COMPUTE_MAJOR ? 9 : attribute == COMPUTE_MINOR ? 0 : attribute == MEMORY_POOLS;
    return 0;
}
int cuDeviceGetDefaultMemPool(void **pool, int device) { return *pool = &used, 0; }
int cuMemPoolSetAttribute(void *pool, int attribute, void *value) { return 0; }

int cuDevicePrimaryCtxRetain(void **context, int device) { return *context = &used, 0; }
int cuDevicePrimaryCtxRelease_v2(int device) { return 0; }
int cuCtxSetCurrent(void *context) { return 0; }
int cuCtxGetCurrent(void **context) { return *context = &used, 0; }
int cuCtxSynchronize(void) { return 0; }
int cuStreamCreate(void **stream, unsigned flags) { return *stream = &used, 0; }
int cuStreamDestroy_v2(void *stream) { return 0; }
int cuStreamSynchronize(void *stream) { return 0; }
int cuStreamWaitEvent(void *stream, void *event, unsigned flags) { return 0; }
int cuEventCreate(void **event, unsigned flags) { return *event = &used, 0; }
int cuEventDestroy_v2(void *event) { return 0; }
int cuEventRecord(void *event, void *stream) { return 0; }

int cuModuleLoadData(void **module, const void *image) { return *module = &used, 0; }
int cuModuleUnload(void *module) { return 0; }
int cuModuleGetFunction(void **function, void *module, const char *name) { return *function = &used, 0; }
int cuLaunchKernel(void) { return 0; }

int cuMemAllocAsync(address *at, size_t size, void *stream) {
    if (atomic_fetch_add(&used, (long)size) + (long)size > room()) {
        used -= (long)size;
        return OUT_OF_MEMORY;
    }
    char *block = calloc(1, size + HEAD);
    if (!block) return OUT_OF_MEMORY;
    *(size_t *)block = size;
    *at = (uintptr_t)(block + HEAD);
    return 0;
}
int cuMemFreeAsync(address at, void *stream) {
    char *block = (char *)(uintptr_t)at - HEAD;
    used -= (long)*(size_t *)block;
    free(block);
    return 0;
}
int cuMemGetInfo_v2(size_t *available, size_t *all) { return *all = room(), *available = room() - used, 0; }
int cuMemcpyHtoDAsync_v2(address to, const void *from, size_t size, void *stream) {
    return memcpy((void *)(uintptr_t)to, from, size), 0;
}
int cuMemcpyDtoHAsync_v2(void *to, address from, size_t size, void *stream) {
    return memcpy(to, (void *)(uintptr_t)from, size), 0;
}
int cuMemcpyDtoDAsync_v2(address to, address from, size_t size, void *stream) {
    return memmove((void *)(uintptr_t)to, (void *)(uintptr_t)from, size), 0;
}
int cuMemsetD8Async(address to, unsigned char value, size_t size, void *stream) {
    return memset((void *)(uintptr_t)to, value, size), 0;
}
int cuGetErrorName(int error, const char **name) { return *name = "PRETENDED", 0; }
int cuGetErrorString(int error, const char **text) { return *text = "a pretended error", 0; }

int cublasCreate_v2(void **handle) { return *handle = &used, set("PRETEND_BLAS", 0); }
int cublasDestroy_v2(void *handle) { return 0; }
int cublasSetStream_v2(void *handle, void *stream) { return 0; }
int cublasGemmStridedBatchedEx(void) { return set("PRETEND_GEMM", 0); }

int curandCreateGenerator(void **generator, int kind) { return *generator = &used, 0; }
int curandSetPseudoRandomGeneratorSeed(void *generator, address seed) { return 0; }
int curandSetStream(void *generator, void *stream) { return 0; }
int curandDestroyGenerator(void *generator) { return 0; }
