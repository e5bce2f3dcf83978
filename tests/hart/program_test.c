// SPDX-License-Identifier: Apache-2.0
// Runs programs made by clang -O2 and picolibc, and compares with what the host computes.
#include <elf.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/file.h"
#include "support/strbuf.h"
#include "tests/common/test_data.h"
#include "tests/hart/machine.h"
#include "tests/hart/programs/math_list.h"

static bool load_segments(machine_t *machine, const file_map_t *file, uint64_t *out_entry) {
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)(const void *)file->data;
    if (file->bytes < sizeof *header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_machine != EM_RISCV)
        return false;
    const Elf64_Phdr *segments = (const Elf64_Phdr *)(const void *)(file->data + header->e_phoff);
    for (uint32_t i = 0; i < header->e_phnum; i++) {
        const Elf64_Phdr *segment = &segments[i];
        if (segment->p_type != PT_LOAD || segment->p_memsz == 0)
            continue;
        uint8_t *to = machine_at(machine, segment->p_vaddr);
        if (to == NULL || machine_at(machine, segment->p_vaddr + segment->p_memsz - 1) == NULL)
            return false;
        memcpy(to, file->data + segment->p_offset, segment->p_filesz);
    }
    *out_entry = header->e_entry;
    return true;
}

static void write_log(machine_t *machine, uint64_t va, uint64_t bytes) {
    for (uint64_t i = 0; i < bytes && machine->log_bytes + 1 < LOG_MAX; i++) {
        const uint8_t *from = machine_at(machine, va + i);
        if (from != NULL)
            machine->log[machine->log_bytes++] = (char)*from;
    }
}

// Runs to its exit call in pieces of `piece` instructions; its exit code, or -1.
static int run_program(machine_t *machine, uint64_t piece) {
    for (;;) {
        sim_stop_t stop = sim_hart_run(machine->hart, piece);
        if (stop == SIM_STOP_BUDGET)
            continue;
        if (stop != SIM_STOP_ECALL) {
            const sim_hart_fault_t *fault = sim_hart_fault(machine->hart);
            fprintf(stderr, "stop %d, pc %llx, fault %d va %llx value %llx\n", (int)stop,
                    (unsigned long long)sim_hart_pc(machine->hart), (int)fault->cause,
                    (unsigned long long)fault->va, (unsigned long long)fault->value);
            return -1;
        }
        uint64_t a0 = sim_hart_x(machine->hart, 10);
        if (sim_hart_x(machine->hart, 17) == 0)
            return (int)a0;
        write_log(machine, a0, sim_hart_x(machine->hart, 11));
    }
}

// Loads and runs; the log stays in *machine.
static bool start_program(machine_t *machine, const char *folder, const char *name,
                          uint64_t piece) {
    strbuf_t path;
    strbuf_init(&path);
    strbuf_printf(&path, "%s/%s.elf", folder, name);
    file_map_t file;
    status_t status = file_map_open(path.text, &file);
    strbuf_deinit(&path);
    if (status != STATUS_OK || !machine_init(machine, NULL))
        return false;
    uint64_t entry = 0;
    bool loaded = load_segments(machine, &file, &entry);
    file_map_close(&file);
    sim_hart_set_pc(machine->hart, entry);
    sim_hart_set_x(machine->hart, 2, DATA_VA + DATA_BYTES - 16);
    int code = loaded ? run_program(machine, piece) : -1;
    printf("%s: exit %d, %llu instructions\n", name, code,
           (unsigned long long)sim_hart_instret(machine->hart));
    return code == 0;
}

#define PRINT(...) strbuf_printf(out, __VA_ARGS__)
#include "tests/hart/programs/print_body.h"

static bool test_print(const char *folder, uint64_t piece) {
    machine_t machine;
    strbuf_t expected;
    strbuf_init(&expected);
    print_body(&expected);
    bool ok = start_program(&machine, folder, "print", piece);
    if (ok && strcmp(machine.log, expected.text) != 0) {
        fprintf(stderr, "--- the hart printed\n%s--- wanted\n%s", machine.log, expected.text);
        ok = false;
    }
    strbuf_deinit(&expected);
    machine_deinit(&machine);
    return ok;
}

static bool test_sort(const char *folder) {
    machine_t machine;
    bool ok = start_program(&machine, folder, "sort", UINT64_MAX) &&
              strcmp(machine.log, "sorted 5000, ackermann 21\n") == 0;
    machine_deinit(&machine);
    return ok;
}

static double of_bits(unsigned long long bits) {
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

// How many units in the last place, of float or double, lie between two values of like sign.
static double ulps(double a, double b, bool single) {
    if (a == b)
        return 0;
    int exponent;
    (void)frexp(b, &exponent);
    return fabs(a - b) / ldexp(1, exponent - (single ? 24 : 53));
}

typedef struct line {
    const char *name;
    double x, result;
} line_t;

static bool check_line(const line_t *line) {
#define MATH(function, low, high)                                                                  \
    if (strcmp(line->name, #function) == 0)                                                        \
        return ulps(line->result, function(line->x), false) <= 2;
#define MATHF(function, low, high)                                                                 \
    if (strcmp(line->name, #function) == 0)                                                        \
        return ulps(line->result, (double)function((float)line->x), true) <= 2;
    MATH_LIST(MATH, MATHF)
    return false;
}

static bool test_math(const char *folder) {
    machine_t machine;
    bool ok = start_program(&machine, folder, "math", UINT64_MAX);
    uint32_t lines = 0, wanted = 0;
    char name[16];
    unsigned long long x, result;
    int used;
#define COUNT(function, low, high) wanted += MATH_STEPS;
    MATH_LIST(COUNT, COUNT)
    for (const char *at = machine.log;
         sscanf(at, "%15s %llx %llx\n%n", name, &x, &result, &used) == 3; at += used, lines++) {
        line_t line = {name, of_bits(x), of_bits(result)};
        if (check_line(&line))
            continue;
        fprintf(stderr, "%s(%.17g): the hart says %.17g\n", name, line.x, line.result);
        ok = false;
    }
    machine_deinit(&machine);
    return ok && lines == wanted;
}

int main(int argc, char **argv) {
    strbuf_t probe;
    strbuf_init(&probe);
    strbuf_printf(&probe, "%s/print.elf", argc > 1 ? argv[1] : ".");
    FILE *file = fopen(probe.text, "rb");
    strbuf_deinit(&probe);
    if (file == NULL)
        test_skip("no programs (clang-19, ld.lld-19 and picolibc make them)");
    fclose(file);
    bool ok = test_print(argv[1], UINT64_MAX);
    ok = test_print(argv[1], 7) && ok; // stopping anywhere must not show
    ok = test_sort(argv[1]) && ok;
    ok = test_math(argv[1]) && ok;
    return ok ? 0 : 1;
}
