// SPDX-License-Identifier: Apache-2.0
#include "tests/codegen/race.h"

#include <stdlib.h>
#include <string.h>

#include "ir/access.h"
#include "isa/xaccel.h"
#include "tests/card/check.h"

enum { MAX_CORES = 8, LANES = XA_ENGINE_COUNT + 1, HART = XA_ENGINE_COUNT, MAX_AGES = 8 };
enum { GRANULE = 4 };     // bytes told apart; smaller elements share
enum { MAX_WAITS = 128 }; // holds of kernels without work for a core add up until its next op

// How far each core's engines (and hart) are known to have come.
typedef struct vclock {
    uint32_t at[MAX_CORES][LANES];
} vclock_t;

// One op in the log of a core.
typedef struct event {
    const ir_op_t *op;
    uint32_t core, lane, ticket;
    uint32_t n_waits;
    struct {
        uint32_t lane, ticket;
    } waits[MAX_WAITS];
    bool is_barrier, hart_waits; // hart_waits: only the hart waits, no op
    size_t n_boxes, first_box;
} event_t;

// Bytes that an access touches: start + any combination of dims.
typedef struct box {
    uint64_t space_key; // which memory
    int64_t start;
    uint32_t rank, elem_bytes;
    int64_t dims[IR_MAX_RANK], strides[IR_MAX_RANK]; // strides in bytes
    bool writes;
} box_t;

typedef struct log {
    event_t *events;
    size_t n, capacity;
    box_t *boxes;
    size_t n_boxes, cap_boxes;
} log_t;

typedef struct var {
    uint32_t ages[MAX_AGES];
} var_t;

typedef struct walker {
    ir_module_t *m;
    arena_t arena;
    uint32_t core, cores;
    int64_t *values;
    map_t tickets; // value -> ticket
    map_t vars;    // name -> var_t *
    map_t program_vars;
    uint32_t last[XA_ENGINE_COUNT];
    event_t pending[XA_ENGINE_COUNT]; // waits of holds
    log_t *log;
} walker_t;

static int64_t eval(walker_t *w, const ir_expr_t *e) {
    int64_t value;
    CHECK(ir_expr_eval(e, w->values, &value));
    return value;
}

static int lane_of(const char *name) {
    static const char *const names[] = {"dmai", "dmao", "mat", "vec"};
    for (int i = 0; i < XA_ENGINE_COUNT; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    CHECK(!"an engine's name");
    return 0;
}

static int ticket_lane(const ir_value_t *ticket) {
    switch (ticket->def->code) {
    case IR_dma_in:
        return XA_DMAI;
    case IR_dma_out:
        return XA_DMAO;
    case IR_mat:
        return XA_MAT;
    case IR_vec:
        return XA_VEC;
    case IR_barrier:
        return lane_of(ir_get_string(ticket->def, "queue", ""));
    default:
        return lane_of(ir_get_string(ticket->def, "engine", ""));
    }
}

static uint32_t ticket_get(walker_t *w, const ir_value_t *ticket) {
    uintptr_t value = 0;
    CHECK(map_get(&w->tickets, &ticket, sizeof ticket, &value));
    return (uint32_t)value;
}

static void ticket_put(walker_t *w, const ir_op_t *op, uint32_t ticket) {
    if (op->n_results > 0)
        map_put(&w->tickets, &op->results[0], sizeof(ir_value_t *), ticket);
}

static void add_wait(event_t *e, uint32_t lane, uint32_t ticket) {
    CHECK(e->n_waits < MAX_WAITS);
    e->waits[e->n_waits].lane = lane;
    e->waits[e->n_waits++].ticket = ticket;
}

static void add_waits(walker_t *w, event_t *e, const ir_op_t *op, uint32_t first) {
    for (uint32_t i = first; i < op->n_operands; i++)
        add_wait(e, (uint32_t)ticket_lane(ir_operand(op, i)), ticket_get(w, ir_operand(op, i)));
}

// --- Boxes
// ----------------------------------------------------------------------------------------

static bool find_place(walker_t *w, const ir_ref_t *ref, box_t *out) {
    const ir_op_t *def = ref->root->def;
    if (def && def->code == IR_weights)
        return false; // never written
    out->space_key = ref->space == IR_SPACE_LM ? 1 + w->core : 100;
    out->start = 0;
    if (def == NULL)
        out->space_key = 200 + ref->root->index; // bound by the caller, apart from all else
    else
        out->start = eval(w, ir_get_expr(def, "offset"));
    out->start += eval(w, ref->offset) * dtype_bytes(ref->elem);
    return true;
}

static void add_boxes(walker_t *w, event_t *e) {
    ir_access_t accesses[IR_MAX_ACCESSES];
    size_t n = ir_accesses(w->m, e->op, accesses);
    e->first_box = w->log->n_boxes;
    for (size_t i = 0; i < n; i++) {
        const ir_ref_t *ref = &accesses[i].ref;
        box_t box = {.rank = ref->rank, .elem_bytes = dtype_bytes(ref->elem)};
        if (!find_place(w, ref, &box))
            continue;
        for (uint32_t d = 0; d < ref->rank; d++) {
            box.dims[d] = eval(w, ref->dims[d]);
            box.strides[d] = eval(w, ref->strides[d]) * dtype_bytes(ref->elem);
        }
        for (int pass = 1; pass <= 2; pass++) // a read, a write
            if (accesses[i].mode & pass) {
                box.writes = pass == IR_WRITE;
                ARENA_GROW(&w->arena, w->log->boxes, w->log->cap_boxes, w->log->n_boxes + 1);
                w->log->boxes[w->log->n_boxes++] = box;
            }
    }
    e->n_boxes = w->log->n_boxes - e->first_box;
}

// --- Walking one core
// -----------------------------------------------------------------------------

static void push(walker_t *w, event_t e) {
    ARENA_GROW(&w->arena, w->log->events, w->log->capacity, w->log->n + 1);
    w->log->events[w->log->n++] = e;
}

static void issue(walker_t *w, const ir_op_t *op, int lane, uint32_t first_ticket, bool barrier) {
    event_t e = w->pending[lane];
    memset(&w->pending[lane], 0, sizeof e);
    e.op = op;
    e.core = w->core;
    e.lane = (uint32_t)lane;
    e.ticket = ++w->last[lane];
    e.is_barrier = barrier;
    add_waits(w, &e, op, first_ticket);
    if (!barrier)
        add_boxes(w, &e);
    ticket_put(w, op, e.ticket);
    push(w, e);
}

static var_t *var_of(walker_t *w, const ir_op_t *op) {
    const char *name = ir_get_string(op, "var", "");
    map_t *map = name[0] == '@' ? &w->program_vars : &w->vars;
    var_t *var = map_get_str(map, name);
    if (var == NULL) {
        var = ARENA_NEW(&w->arena, var_t);
        map_put_str(map, name, var);
    }
    return var;
}

static void walk_ticket_op(walker_t *w, const ir_op_t *op) {
    event_t e = {.op = op, .core = w->core, .lane = HART, .hart_waits = true};
    var_t *var;
    switch (op->code) {
    case IR_ticket_keep:
        var_of(w, op)->ages[0] = ticket_get(w, ir_operand(op, 0));
        break;
    case IR_ticket_shift:
        var = var_of(w, op);
        for (int i = MAX_AGES - 1; i > 0; i--)
            var->ages[i] = var->ages[ir_get_int(op, "fill", 0) ? 0 : i - 1];
        break;
    case IR_ticket_get:
        ticket_put(w, op, var_of(w, op)->ages[ir_get_int(op, "age", 0)]);
        break;
    case IR_ticket_last:
        ticket_put(w, op, w->last[lane_of(ir_get_string(op, "engine", ""))]);
        break;
    case IR_hold:
        add_waits(w, &w->pending[lane_of(ir_get_string(op, "queue", ""))], op, 0);
        break;
    default: // wait
        add_waits(w, &e, op, 0);
        push(w, e);
        break;
    }
}

static void walk_block(walker_t *w, const ir_block_t *block);

static void walk_loop(walker_t *w, const ir_op_t *op) {
    int64_t lo, hi, step = 1;
    if (op->code == IR_parfor) {
        int64_t count = eval(w, ir_get_expr(op, "count")), share = count / w->cores;
        int64_t rest = count % w->cores, core = w->core;
        lo = core * share + (core < rest ? core : rest);
        hi = lo + share + (core < rest);
    } else {
        lo = eval(w, ir_get_expr(op, "lo"));
        hi = eval(w, ir_get_expr(op, "hi"));
        step = eval(w, ir_get_expr(op, "step"));
    }
    for (int64_t i = lo; i < hi; i += step) {
        w->values[ir_get(op, "symbol")->symbol->id] = i;
        walk_block(w, op->regions[0]->block);
    }
}

static void walk_hart(walker_t *w, const ir_op_t *op) {
    event_t e = {.op = op, .core = w->core, .lane = HART};
    if (op->code == IR_read_index)
        w->values[ir_get(op, "symbol")->symbol->id] = 0;
    if (op->code == IR_call && w->core != 0)
        return;
    add_boxes(w, &e);
    push(w, e);
}

static void walk_op(walker_t *w, const ir_op_t *op) {
    uint32_t n_buffers = (uint32_t)ir_get_int(op, "n_buffers", 0);
    switch (op->code) {
    case IR_for:
    case IR_parfor:
        walk_loop(w, op);
        break;
    case IR_when:
        if (eval(w, ir_get_expr(op, "cond")))
            walk_block(w, op->regions[0]->block);
        break;
    case IR_dma_in:
        issue(w, op, XA_DMAI, n_buffers, false);
        break;
    case IR_dma_out:
        issue(w, op, XA_DMAO, n_buffers, false);
        break;
    case IR_mat:
        issue(w, op, XA_MAT, n_buffers, false);
        break;
    case IR_vec:
        issue(w, op, XA_VEC, n_buffers, false);
        break;
    case IR_barrier:
        issue(w, op, lane_of(ir_get_string(op, "queue", "")), 0, true);
        break;
    case IR_call:
    case IR_read_index:
        walk_hart(w, op);
        break;
    default:
        if (strncmp(ir_op_info(op->code)->name, "ticket", 6) == 0 || op->code == IR_hold ||
            op->code == IR_wait)
            walk_ticket_op(w, op);
        break;
    }
}

static void walk_block(walker_t *w, const ir_block_t *block) {
    for (const ir_op_t *op = block->first; op; op = op->next)
        walk_op(w, op);
}

static void walk_core(ir_module_t *m, uint32_t core, uint32_t cores, const int64_t *dims,
                      walker_t *w, log_t *log) {
    memset(w, 0, sizeof *w);
    arena_init(&w->arena);
    w->m = m;
    w->core = core;
    w->cores = cores;
    w->log = log;
    w->values = ARENA_ARRAY(&w->arena, int64_t, m->n_symbols + 1);
    map_init(&w->tickets, &w->arena);
    map_init(&w->program_vars, &w->arena);
    for (size_t i = 0; i < m->n_symbols; i++) {
        const ir_symbol_t *symbol = m->symbols[i];
        if (symbol->kind == IR_SYMBOL_DIM)
            w->values[symbol->id] = dims[symbol->id];
        else if (symbol->kind == IR_SYMBOL_CORE)
            w->values[symbol->id] = strcmp(symbol->name, "cores") == 0 ? cores : core;
    }
    for (const ir_op_t *op = m->funcs->body->block->first; op; op = op->next)
        if (op->code == IR_kernel) {
            map_init(&w->vars, &w->arena);
            walk_block(w, op->regions[0]->block);
        }
}

// --- Clocks and memory
// ----------------------------------------------------------------------------

// Last write and last read by each lane, of one granule.
typedef struct cell {
    uint32_t write_core, write_lane, write_ticket;
    uint32_t reads[MAX_CORES][LANES];
} cell_t;

typedef struct checker {
    uint32_t cores;
    arena_t arena;
    vclock_t *done[MAX_CORES][LANES]; // by ticket: clock when it completed
    size_t cap_done[MAX_CORES][LANES];
    vclock_t hart[MAX_CORES];
    uint32_t hart_ticks[MAX_CORES];
    map_t cells; // {space, granule} -> cell_t *
    race_report_t report;
} checker_t;

static void join(vclock_t *a, const vclock_t *b) {
    for (int c = 0; c < MAX_CORES; c++)
        for (int l = 0; l < LANES; l++)
            if (b->at[c][l] > a->at[c][l])
                a->at[c][l] = b->at[c][l];
}

static vclock_t *done_at(checker_t *s, uint32_t core, uint32_t lane, uint32_t ticket) {
    ARENA_GROW(&s->arena, s->done[core][lane], s->cap_done[core][lane], ticket + 1);
    return &s->done[core][lane][ticket];
}

static vclock_t start_of(checker_t *s, const event_t *e) {
    vclock_t clock = s->hart[e->core];
    if (e->lane != HART && e->ticket > 1)
        join(&clock, done_at(s, e->core, e->lane, e->ticket - 1));
    for (uint32_t i = 0; i < e->n_waits; i++)
        if (e->waits[i].ticket > 0)
            join(&clock, done_at(s, e->core, e->waits[i].lane, e->waits[i].ticket));
    return clock;
}

static void complain(checker_t *s, const event_t *e, const box_t *box, const char *against,
                     uint32_t core, uint32_t lane) {
    if (s->report.n_races++ > 0)
        return;
    const ir_op_t *kernel = e->op;
    while (kernel->code != IR_kernel)
        kernel = kernel->block->region->op;
    snprintf(s->report.first, sizeof s->report.first,
             "%s of '%s', core %u, %s memory %llu behind a %s by core %u lane %u, not ordered",
             ir_op_info(e->op->code)->name, kernel->n_origins > 0 ? kernel->origins[0]->node : "?",
             e->core, box->writes ? "writes" : "reads", (unsigned long long)box->space_key, against,
             core, lane);
}

static void touch(checker_t *s, const event_t *e, const box_t *box, const vclock_t *start,
                  uint32_t ticket, int64_t address) {
    struct {
        uint64_t space;
        int64_t granule;
    } key = {box->space_key, address / GRANULE};
    uintptr_t found = 0;
    if (!map_get(&s->cells, &key, sizeof key, &found)) {
        found = (uintptr_t)ARENA_NEW(&s->arena, cell_t);
        map_put(&s->cells, &key, sizeof key, found);
    }
    cell_t *cell = (cell_t *)found;
    bool own = cell->write_core == e->core && cell->write_lane == e->lane;
    if (!own && cell->write_ticket > start->at[cell->write_core][cell->write_lane])
        complain(s, e, box, "write", cell->write_core, cell->write_lane);
    for (uint32_t c = 0; box->writes && c < s->cores; c++)
        for (uint32_t l = 0; l < LANES; l++)
            if (cell->reads[c][l] > start->at[c][l] && !(c == e->core && l == e->lane))
                complain(s, e, box, "read", c, l);
    if (box->writes) {
        cell->write_core = e->core;
        cell->write_lane = e->lane;
        cell->write_ticket = ticket;
    } else {
        cell->reads[e->core][e->lane] = ticket;
    }
}

static void touch_box(checker_t *s, const event_t *e, const box_t *box, const vclock_t *start,
                      uint32_t ticket) {
    int64_t at[IR_MAX_RANK] = {0};
    for (uint32_t d = 0; d < box->rank; d++)
        if (box->dims[d] <= 0)
            return;
    for (;;) {
        int64_t address = box->start;
        for (uint32_t d = 0; d < box->rank; d++)
            address += at[d] * box->strides[d];
        touch(s, e, box, start, ticket, address);
        uint32_t d = box->rank;
        while (d-- > 0 && ++at[d] == box->dims[d])
            at[d] = 0;
        if (d == UINT32_MAX)
            return;
    }
}

static void run_event(checker_t *s, const event_t *e, const log_t *log) {
    vclock_t clock = start_of(s, e);
    if (e->hart_waits) {
        s->hart[e->core] = clock;
        return;
    }
    uint32_t ticket = e->lane == HART ? ++s->hart_ticks[e->core] : e->ticket;
    for (size_t i = 0; i < e->n_boxes; i++)
        touch_box(s, e, &log->boxes[e->first_box + i], &clock, ticket);
    clock.at[e->core][e->lane] = ticket;
    if (e->lane == HART)
        s->hart[e->core] = clock;
    else
        *done_at(s, e->core, e->lane, ticket) = clock;
    s->report.n_ops++;
}

// All cores stand at a barrier: it completes when all of them reached it.
static void run_barrier(checker_t *s, const log_t *logs, const size_t *at) {
    vclock_t all = {0};
    for (uint32_t c = 0; c < s->cores; c++) {
        const event_t *e = &logs[c].events[at[c]];
        CHECK(e->is_barrier && e->op == logs[0].events[at[0]].op);
        vclock_t mine = start_of(s, e);
        join(&all, &mine);
    }
    for (uint32_t c = 0; c < s->cores; c++) {
        const event_t *e = &logs[c].events[at[c]];
        all.at[c][e->lane] = e->ticket;
    }
    for (uint32_t c = 0; c < s->cores; c++) {
        const event_t *e = &logs[c].events[at[c]];
        *done_at(s, c, e->lane, e->ticket) = all;
    }
}

race_report_t race_check(ir_module_t *m, uint32_t cores, const int64_t *dim_values) {
    walker_t *walkers = calloc(cores, sizeof *walkers);
    log_t *logs = calloc(cores, sizeof *logs);
    checker_t *s = calloc(1, sizeof *s);
    size_t at[MAX_CORES] = {0};
    CHECK(walkers && logs && s && cores <= MAX_CORES);
    s->cores = cores;
    arena_init(&s->arena);
    map_init(&s->cells, &s->arena);
    for (uint32_t c = 0; c < cores; c++)
        walk_core(m, c, cores, dim_values, &walkers[c], &logs[c]);
    bool more = true;
    while (more) {
        for (uint32_t c = 0; c < cores; c++)
            while (at[c] < logs[c].n && !logs[c].events[at[c]].is_barrier)
                run_event(s, &logs[c].events[at[c]++], &logs[c]);
        more = at[0] < logs[0].n;
        for (uint32_t c = 0; c < cores; c++)
            CHECK(more == (at[c] < logs[c].n));
        if (more)
            run_barrier(s, logs, at);
        for (uint32_t c = 0; c < cores; c++)
            at[c]++;
    }
    race_report_t report = s->report;
    for (uint32_t c = 0; c < cores; c++)
        arena_deinit(&walkers[c].arena);
    arena_deinit(&s->arena);
    free(walkers);
    free(logs);
    free(s);
    return report;
}
