// SPDX-License-Identifier: Apache-2.0
// LLVM's RISC-V target: what the hart is, and how hard the optimiser tries.
#include <string.h>

#include <llvm-c/Analysis.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>

#include "codegen/codegen_internal.h"

static const char triple[] = "riscv64-unknown-elf";
static const char features[] = "+m,+a,+f,+d,+c";

static status_t fail(cg_t *cg, const char *what, char *message) {
    status_t status = DIAG_FAIL(cg->diag, STATUS_INTERNAL, &(diag_where_t){.pass = "codegen"}, NULL,
                                "LLVM: %s: %s", what, message ? message : "no reason given");
    if (message != NULL)
        LLVMDisposeMessage(message);
    return status;
}

status_t cg_target_init(cg_t *cg) {
    LLVMInitializeRISCVTargetInfo();
    LLVMInitializeRISCVTarget();
    LLVMInitializeRISCVTargetMC();
    LLVMInitializeRISCVAsmPrinter();
    LLVMInitializeRISCVAsmParser();
    LLVMTargetRef target;
    char *message = NULL;
    if (LLVMGetTargetFromTriple(triple, &target, &message))
        return fail(cg, "no RISC-V target", message);
    LLVMTargetMachineOptionsRef options = LLVMCreateTargetMachineOptions();
    LLVMTargetMachineOptionsSetCPU(options, "generic-rv64");
    LLVMTargetMachineOptionsSetFeatures(options, features);
    LLVMTargetMachineOptionsSetABI(options, "lp64d");
    LLVMTargetMachineOptionsSetRelocMode(options, LLVMRelocPIC);
    LLVMTargetMachineOptionsSetCodeModel(options, LLVMCodeModelMedium);
    LLVMTargetMachineOptionsSetCodeGenOptLevel(
        options, cg->options->opt_level >= 2 ? LLVMCodeGenLevelDefault : LLVMCodeGenLevelLess);
    cg->machine = LLVMCreateTargetMachineWithOptions(target, triple, options);
    LLVMDisposeTargetMachineOptions(options);
    if (cg->machine == NULL)
        return fail(cg, "no target machine", NULL);
    LLVMSetTarget(cg->mod, triple);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(cg->machine);
    LLVMSetModuleDataLayout(cg->mod, layout);
    LLVMDisposeTargetData(layout);
    return STATUS_OK;
}

status_t cg_target_optimise(cg_t *cg) {
    char *message = NULL;
    if (LLVMVerifyModule(cg->mod, LLVMReturnStatusAction, &message))
        return fail(cg, "codegen built a wrong module", message);
    LLVMDisposeMessage(message);
    // The code is issue sequences around inline assembly: these few passes do what there is to do,
    // in a fraction of the default line's time. Without being told so, instcombine ends the process
    // where one round leaves something to do.
    const char *line = cg->options->opt_level >= 3 ? "default<O2>"
                       : cg->options->opt_level >= 1
                           ? "function(sroa,early-cse,simplifycfg,"
                             "instcombine<no-verify-fixpoint>,loop-simplify,"
                             "loop-mssa(licm),early-cse<memssa>,simplifycfg),globaldce"
                           : "function(sroa,early-cse,simplifycfg),globaldce";
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMPassBuilderOptionsSetLoopUnrolling(options, false);
    LLVMErrorRef error = LLVMRunPasses(cg->mod, line, cg->machine, options);
    LLVMDisposePassBuilderOptions(options);
    if (error == LLVMErrorSuccess)
        return STATUS_OK;
    char *text = LLVMGetErrorMessage(error);
    status_t status = fail(cg, "optimiser", NULL);
    LLVMDisposeErrorMessage(text);
    return status;
}

status_t cg_target_emit(cg_t *cg, LLVMCodeGenFileType type, LLVMMemoryBufferRef *out_buffer) {
    char *message = NULL;
    if (LLVMTargetMachineEmitToMemoryBuffer(cg->machine, cg->mod, type, &message, out_buffer))
        return fail(cg, "emission", message);
    return STATUS_OK;
}
