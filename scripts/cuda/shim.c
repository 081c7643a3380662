/* A stand-in for one of CUDA's libraries. It is linked into the program, and loads the real library when it is first called.
 *
 * candle links CUDA's libraries, so a program that uses it does not start if the driver is missing. With stand-ins the program starts
 * on every machine, and can say itself what is missing. build_cuda.sh compiles this file once per library:
 *
 *   SYMBOLS  a header with a line S(name) for each function of the library
 *   SONAME   the file that the dynamic loader is asked for, "libcuda.so.1"
 *   MISSING  the status that a function returns if the library, or the function in it, is missing
 *
 * Every function is a jump through a pointer. At first the jump goes to a few lines that save all registers that may hold arguments,
 * look up the real function and store its address. This works on x86-64 with the System V calling convention only.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

#ifndef __x86_64__
#error "CUDA's libraries are linked this way on x86-64 only; elsewhere install the toolkit and use cargo build --features cuda"
#endif

struct function {
    const char *name;
    void *real;
};

static int missing(void) { return MISSING; }

/* Two threads may both look a name up: they find the same. */
__attribute__((used)) static void *look_up(struct function *function) {
    static void *library;
    if (!library) library = dlopen(SONAME, RTLD_NOW | RTLD_GLOBAL);
    void *found = library ? dlsym(library, function->name) : NULL;
    return function->real = found ? found : (void *)missing;
}

/* r11 holds the function's entry; every register that may carry an argument is kept. On entry the stack is 8 off a multiple
 * of 16; seven registers and 128 bytes put it on one for the call. */
__asm__(".text\n"
        "first_call:\n"
        "  push %rdi\n  push %rsi\n  push %rdx\n  push %rcx\n  push %r8\n  push %r9\n  push %rax\n"
        "  sub $128, %rsp\n"
        "  movdqu %xmm0, (%rsp)\n  movdqu %xmm1, 16(%rsp)\n  movdqu %xmm2, 32(%rsp)\n  movdqu %xmm3, 48(%rsp)\n"
        "  movdqu %xmm4, 64(%rsp)\n  movdqu %xmm5, 80(%rsp)\n  movdqu %xmm6, 96(%rsp)\n  movdqu %xmm7, 112(%rsp)\n"
        "  mov %r11, %rdi\n"
        "  call look_up\n"
        "  mov %rax, %r11\n"
        "  movdqu (%rsp), %xmm0\n  movdqu 16(%rsp), %xmm1\n  movdqu 32(%rsp), %xmm2\n  movdqu 48(%rsp), %xmm3\n"
        "  movdqu 64(%rsp), %xmm4\n  movdqu 80(%rsp), %xmm5\n  movdqu 96(%rsp), %xmm6\n  movdqu 112(%rsp), %xmm7\n"
        "  add $128, %rsp\n"
        "  pop %rax\n  pop %r9\n  pop %r8\n  pop %rcx\n  pop %rdx\n  pop %rsi\n  pop %rdi\n"
        "  jmp *%r11\n");

/* Hidden, so that the real libraries never find these in place of each other. */
#define S(name)                                                                          \
    __asm__(".section .rodata\n.Lname_" #name ": .asciz \"" #name "\"\n"                 \
            ".data\n.balign 8\n.Lentry_" #name ": .quad .Lname_" #name ", 0\n"           \
            ".text\n.globl " #name "\n.hidden " #name "\n.type " #name ", @function\n"   \
            #name ":\n"                                                                  \
            "  mov .Lentry_" #name "+8(%rip), %r11\n"                                    \
            "  test %r11, %r11\n  jz 1f\n  jmp *%r11\n"                                  \
            "1: lea .Lentry_" #name "(%rip), %r11\n  jmp first_call\n");
#include SYMBOLS
