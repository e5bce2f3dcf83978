// SPDX-License-Identifier: Apache-2.0
// The operator library is bitcode, one module a function, in a table that the build makes from
// codegen/devlib. Only modules that something names are linked in. What these call of C's library
// the linker takes from picolibc.
#include <string.h>

#include <llvm-c/BitReader.h>
#include <llvm-c/Linker.h>

#include "codegen/codegen_internal.h"
#include "codegen/devlib_table.h"

static const cg_devlib_module_t *find_module(const char *symbol) {
    for (size_t i = 0; i < cg_n_devlib_modules; i++)
        if (strcmp(cg_devlib_modules[i].symbol, symbol) == 0)
            return &cg_devlib_modules[i];
    return NULL;
}

bool cg_devlib_has(const char *name) {
    char symbol[128];
    snprintf(symbol, sizeof symbol, "dl_%s", name);
    return find_module(symbol) != NULL;
}

static status_t link_module(cg_t *cg, const cg_devlib_module_t *row) {
    LLVMMemoryBufferRef buffer = LLVMCreateMemoryBufferWithMemoryRange(
        (const char *)row->data, row->bytes, row->symbol, false);
    LLVMModuleRef module;
    bool bad = LLVMParseBitcodeInContext2(cg->llvm, buffer, &module);
    LLVMDisposeMemoryBuffer(buffer);
    if (bad || LLVMLinkModules2(cg->mod, module)) // takes the module
        return cg_fail(cg, NULL, STATUS_INTERNAL, "module '%s' of the operator library is broken",
                       row->symbol);
    return STATUS_OK;
}

static void set_internal(cg_t *cg) {
    for (LLVMValueRef fn = LLVMGetFirstFunction(cg->mod); fn; fn = LLVMGetNextFunction(fn)) {
        size_t length;
        const char *name = LLVMGetValueName2(fn, &length);
        if (!LLVMIsDeclaration(fn) && strncmp(name, "dl_", 3) == 0)
            LLVMSetLinkage(fn, LLVMInternalLinkage);
    }
}

status_t cg_devlib_link(cg_t *cg) {
    bool again = true;
    while (again) { // a module may name others
        again = false;
        for (LLVMValueRef fn = LLVMGetFirstFunction(cg->mod); fn && !again;
             fn = LLVMGetNextFunction(fn)) {
            size_t length;
            const char *name = LLVMGetValueName2(fn, &length);
            if (!LLVMIsDeclaration(fn) || LLVMGetIntrinsicID(fn) != 0)
                continue;
            const cg_devlib_module_t *row = find_module(name);
            if (row == NULL && strncmp(name, "dl_", 3) == 0)
                return cg_fail(cg, NULL, STATUS_INTERNAL, "the operator library has no '%s'", name);
            if (row == NULL)
                continue;
            RETURN_IF_ERROR(link_module(cg, row));
            again = cg->uses_devlib = true;
        }
    }
    set_internal(cg);
    return STATUS_OK;
}
