// SPDX-License-Identifier: Apache-2.0
// Tickets of the pass `sync` order everything that must be ordered, on one to five cores; and the
// checker that says so finds what is missing when one is taken away.
// With arguments: checks those files, tile IR that `accelc --emit=tile` wrote.
#include "passes/pass.h"
#include "tests/codegen/codegen_test.h"
#include "tests/codegen/race.h"

static ir_module_t *finish(const char *name, int opt_level, diag_t *diag) {
    ir_module_t *m = read_ir_file(name, diag);
    pass_options_t passes = {.profile = isa_profile_find("edge"), .opt_level = opt_level};
    status_t status = pass_run(&passes, m, "pipeline", diag);
    diag_print(diag, stderr, "test", true);
    assert_int_equal(status, STATUS_OK);
    return m;
}

static race_report_t check(ir_module_t *m, uint32_t cores, int64_t dim) {
    int64_t *dims = calloc(m->n_symbols + 1, sizeof *dims);
    for (size_t i = 0; i < m->n_symbols; i++)
        dims[m->symbols[i]->id] = dim;
    race_report_t report = race_check(m, cores, dims);
    free(dims);
    return report;
}

static void assert_ordered(ir_module_t *m, uint32_t cores, int64_t dim) {
    race_report_t report = check(m, cores, dim);
    if (report.n_races > 0)
        fail_msg("%llu races on %u cores: %s", (unsigned long long)report.n_races, cores,
                 report.first);
    assert_true(report.n_ops > 0);
}

static void passes_order_everything(void **state) {
    (void)state;
    static const char *const names[] = {"two.ir", "phases.ir", "chain.ir"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        for (int level = 0; level <= 2; level += 2)
            for (uint32_t cores = 1; cores <= 5; cores++) {
                diag_t diag;
                diag_init(&diag);
                ir_module_t *m = finish(names[i], level, &diag);
                assert_ordered(m, cores, 1);
                ir_module_destroy(m);
                diag_deinit(&diag);
            }
}

static void hand_written_tickets_hold(void **state) {
    (void)state;
    diag_t diag;
    diag_init(&diag);
    ir_module_t *m = read_ir_file("gemm.ir", &diag);
    for (uint32_t cores = 1; cores <= 5; cores++) {
        assert_ordered(m, cores, 1);
        assert_ordered(m, cores, 200);
    }
    ir_module_destroy(m);
    diag_deinit(&diag);
}

// Takes ticket number `skip` away; false when there are not so many.
typedef struct cut {
    int skip;
    const char *what; // its op
} cut_t;

static status_t cut_one(void *ctx, ir_op_t *op) {
    cut_t *cut = ctx;
    bool issue =
        op->code == IR_dma_in || op->code == IR_dma_out || op->code == IR_mat || op->code == IR_vec;
    uint32_t first = issue ? (uint32_t)ir_get_int(op, "n_buffers", 0) : 0;
    if (!issue && op->code != IR_hold && op->code != IR_wait)
        return STATUS_OK;
    for (uint32_t i = first; i < op->n_operands; i++) {
        if (cut->what != NULL || cut->skip-- > 0)
            continue;
        cut->what = ir_op_info(op->code)->name;
        for (uint32_t j = i; j + 1 < op->n_operands; j++)
            ir_set_operand(op, j, ir_operand(op, j + 1));
        ir_set_operand(op, op->n_operands - 1, NULL);
        op->n_operands--;
    }
    return STATUS_OK;
}

// Every ticket of two.ir is needed but those that repeat what a queue already waited for.
static void missing_tickets_are_found(void **state) {
    (void)state;
    int found = 0, missed = 0;
    for (int skip = 0;; skip++) {
        diag_t diag;
        diag_init(&diag);
        ir_module_t *m = finish("two.ir", 2, &diag);
        cut_t cut = {.skip = skip};
        assert_int_equal(ir_walk(m->funcs->body, cut_one, &cut), STATUS_OK);
        if (cut.what != NULL) {
            bool races = check(m, 2, 1).n_races > 0;
            found += races;
            missed += !races;
            if (!races)
                print_message("ticket %d, of a %s, is implied by others\n", skip, cut.what);
        }
        ir_module_destroy(m);
        diag_deinit(&diag);
        if (cut.what == NULL)
            break;
    }
    assert_true(found >= 8);
    assert_true(missed <= 3); // holds at the border of the two kernels imply each other
}

static int check_files(int n, char **paths) {
    int bad = 0;
    for (int i = 0; i < n; i++) {
        diag_t diag;
        file_map_t file;
        ir_module_t *m = NULL;
        diag_init(&diag);
        assert_int_equal(file_map_open(paths[i], &file), STATUS_OK);
        m = read_ir((const char *)file.data, file.bytes, paths[i], &diag);
        for (uint32_t cores = 1; cores <= 3; cores += 2) {
            race_report_t report = check(m, cores, 16);
            printf("%s: %u cores, %llu ops, %llu races %s\n", paths[i], cores,
                   (unsigned long long)report.n_ops, (unsigned long long)report.n_races,
                   report.first);
            bad += report.n_races > 0;
        }
        ir_module_destroy(m);
        file_map_close(&file);
        diag_deinit(&diag);
    }
    return bad;
}

int main(int argc, char **argv) {
    if (argc > 1)
        return check_files(argc - 1, argv + 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_order_everything),
        cmocka_unit_test(hand_written_tickets_hold),
        cmocka_unit_test(missing_tickets_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
