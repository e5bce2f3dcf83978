// SPDX-License-Identifier: Apache-2.0
#include "tests/hart/machine.h"

#include <stdlib.h>
#include <string.h>

uint8_t *machine_at(machine_t *machine, uint64_t va) {
    if (va >= CODE_VA && va < CODE_VA + CODE_BYTES)
        return machine->code + (va - CODE_VA);
    if (va >= DATA_VA && va < DATA_VA + DATA_BYTES)
        return machine->data + (va - DATA_VA);
    return NULL;
}

static isa_fault_t translate(void *user, uint64_t va, isa_access_t access, uint8_t **out_page,
                             uint64_t *out_value) {
    machine_t *machine = user;
    machine->n_translations++;
    *out_page = machine_at(machine, va & ~UINT64_C(4095));
    *out_value = 77;
    if (*out_page == NULL)
        return ISA_FAULT_PAGE_INVALID;
    bool code = va < DATA_VA;
    if ((code && access == ISA_ACCESS_WRITE) || (!code && access == ISA_ACCESS_EXECUTE))
        return ISA_FAULT_PAGE_DENIED;
    return ISA_FAULT_NONE;
}

// custom-0: rd = rs1 * 2 + 1, after blocking as often as the machine says; operand: rd, rs1.
static sim_custom_t do_double(void *user, sim_hart_t *hart, uint64_t operand) {
    machine_t *machine = user;
    if (machine->custom_blocks > 0) {
        machine->custom_blocks--;
        return SIM_CUSTOM_BLOCKED;
    }
    machine->custom_cycles = sim_hart_cycles(hart);
    uint64_t value = sim_hart_x(hart, (uint32_t)(operand >> 8));
    sim_hart_set_x(hart, operand & 31, value * 2 + 1);
    return SIM_CUSTOM_CONTINUE;
}

static sim_custom_t do_fault(void *user, sim_hart_t *hart, uint64_t operand) {
    (void)user;
    sim_hart_set_fault(hart, (sim_hart_fault_t){ISA_FAULT_BAD_TICKET, ISA_ACCESS_NONE,
                                                sim_hart_pc(hart), operand});
    return SIM_CUSTOM_FAULT;
}

static bool custom_decode(void *user, uint32_t word, sim_custom_fn_t *out_fn,
                          uint64_t *out_operand) {
    (void)user;
    if ((word & 127) == 0x0b) {
        *out_fn = do_double;
        *out_operand = (word >> 7 & 31) | (word >> 15 & 31) << 8;
        return true;
    }
    *out_fn = do_fault;
    *out_operand = word >> 20;
    return (word & 127) == 0x2b;
}

bool machine_add_hart(machine_t *machine, const uint32_t *class_cost, sim_hart_t **out_hart) {
    sim_hart_config_t config = {machine, translate, custom_decode, class_cost};
    return sim_hart_create(&config, out_hart) == STATUS_OK;
}

bool machine_init(machine_t *machine, const uint32_t *class_cost) {
    memset(machine, 0, sizeof *machine);
    machine->code = aligned_alloc(4096, CODE_BYTES);
    machine->data = aligned_alloc(4096, DATA_BYTES);
    machine->log = calloc(LOG_MAX, 1);
    if (machine->code == NULL || machine->data == NULL || machine->log == NULL)
        return false;
    memset(machine->code, 0, CODE_BYTES);
    memset(machine->data, 0, DATA_BYTES);
    return machine_add_hart(machine, class_cost, &machine->hart);
}

void machine_deinit(machine_t *machine) {
    sim_hart_destroy(machine->hart);
    free(machine->code);
    free(machine->data);
    free(machine->log);
}

void machine_load(machine_t *machine, const uint32_t *words, uint32_t count) {
    memcpy(machine->code, words, count * 4);
    uint32_t end = EBREAK;
    memcpy(machine->code + count * 4, &end, 4);
    sim_hart_flush(machine->hart);
    sim_hart_set_pc(machine->hart, CODE_VA);
}

void machine_do(machine_t *machine, const uint32_t *words, uint32_t count) {
    machine_load(machine, words, count);
    sim_stop_t stop = sim_hart_run(machine->hart, 1000000);
    if (stop != SIM_STOP_EBREAK) {
        const sim_hart_fault_t *fault = sim_hart_fault(machine->hart);
        fprintf(stderr, "stopped by %d at %llx, fault %d at %llx\n", (int)stop,
                (unsigned long long)sim_hart_pc(machine->hart), (int)fault->cause,
                (unsigned long long)fault->va);
        exit(1);
    }
}

uint64_t machine_f(machine_t *machine, uint32_t index) {
    sim_hart_state_t state;
    sim_hart_save(machine->hart, &state);
    return state.f[index];
}

void machine_set_f(machine_t *machine, uint32_t index, uint64_t bits) {
    sim_hart_state_t state;
    sim_hart_save(machine->hart, &state);
    state.f[index] = bits;
    sim_hart_restore(machine->hart, &state);
}

uint32_t machine_fcsr(machine_t *machine) {
    sim_hart_state_t state;
    sim_hart_save(machine->hart, &state);
    return state.fcsr;
}

void machine_set_fcsr(machine_t *machine, uint32_t fcsr) {
    sim_hart_state_t state;
    sim_hart_save(machine->hart, &state);
    state.fcsr = fcsr;
    sim_hart_restore(machine->hart, &state);
}

void check_equal(tally_t *tally, const char *what, uint64_t got, uint64_t wanted) {
    tally->checks++;
    if (got == wanted)
        return;
    tally->failures++;
    if (tally->failures <= 40)
        fprintf(stderr, "%s: got %016llx, wanted %016llx\n", what, (unsigned long long)got,
                (unsigned long long)wanted);
}
