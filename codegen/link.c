// SPDX-License-Identifier: Apache-2.0
// Runs ld.lld, without a shell, on files beside the output that are gone afterwards.
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "codegen/codegen_internal.h"

static status_t fail(cg_t *cg, status_t code, const char *what, const char *detail) {
    return DIAG_FAIL(cg->diag, code, &(diag_where_t){.pass = "link"}, NULL, "%s: %s", what, detail);
}

// A temporary file with these bytes (none: empty); its path goes to `out_path`.
static status_t temp_file(cg_t *cg, const char *beside, const char *suffix, const void *data,
                          size_t bytes, char **out_path) {
    char *path = arena_printf(&cg->arena, "%s.XXXXXX%s", beside, suffix);
    int fd = path ? mkstemps(path, (int)strlen(suffix)) : -1;
    if (fd < 0)
        return fail(cg, STATUS_IO, arena_printf(&cg->arena, "cannot write '%s'", beside),
                    strerror(errno));
    *out_path = path;
    FILE *stream = fdopen(fd, "wb");
    if (stream == NULL) {
        (void)close(fd);
        return fail(cg, STATUS_IO, path, strerror(errno));
    }
    bool good = fwrite(data, 1, bytes, stream) == bytes;
    good = fclose(stream) == 0 && good;
    return good ? STATUS_OK : fail(cg, STATUS_IO, path, strerror(errno));
}

// The first line that the linker said.
static status_t report(cg_t *cg, FILE *errors) {
    char line[512] = "no message";
    rewind(errors);
    if (fgets(line, sizeof line, errors))
        line[strcspn(line, "\n")] = 0;
    return fail(cg, STATUS_INTERNAL, "the linker failed", line);
}

static status_t run_linker(cg_t *cg, char *object, char *elf) {
    static const char *const options[] = {"-m",
                                          "elf64lriscv",
                                          "-pie",
                                          "--no-dynamic-linker",
                                          "-z",
                                          "text",
                                          "-z",
                                          "norelro",
                                          "-z",
                                          "max-page-size=4096",
                                          "--build-id=none",
                                          "--no-relax",
                                          "--gc-sections",
                                          "--threads=1",
                                          "-e",
                                          "_start",
                                          "-o"};
    static const char *const libraries[] = {CG_LIBM, CG_LIBC, CG_LIBGCC};
    char *argv[COUNT_OF(options) + COUNT_OF(libraries) + 4];
    size_t n = 0;
    argv[n++] = arena_strdup(&cg->arena, cg->options->linker ? cg->options->linker : "ld.lld-19");
    for (size_t i = 0; i < COUNT_OF(options); i++)
        argv[n++] = arena_strdup(&cg->arena, options[i]);
    argv[n++] = elf;
    argv[n++] = object;
    for (size_t i = 0; cg->uses_devlib && i < COUNT_OF(libraries); i++)
        argv[n++] = arena_strdup(&cg->arena, libraries[i]);
    argv[n] = NULL;
    FILE *errors = tmpfile();
    if (errors == NULL)
        return fail(cg, STATUS_IO, "temporary file", strerror(errno));
    posix_spawn_file_actions_t actions;
    pid_t child;
    int wait_status = 0, error = posix_spawn_file_actions_init(&actions);
    if (error == 0) {
        error = posix_spawn_file_actions_adddup2(&actions, fileno(errors), STDERR_FILENO);
        if (error == 0)
            error = posix_spawnp(&child, argv[0], &actions, NULL, argv, environ);
        (void)posix_spawn_file_actions_destroy(&actions);
    }
    status_t status = STATUS_OK;
    if (error != 0)
        status = fail(cg, STATUS_NOT_FOUND, argv[0], strerror(error));
    else if (waitpid(child, &wait_status, 0) != child || wait_status != 0)
        status = report(cg, errors);
    (void)fclose(errors);
    return status;
}

status_t cg_link(cg_t *cg, const void *object, size_t bytes, const char *out_path,
                 file_map_t *out_elf) {
    char *object_path = NULL, *elf_path = NULL;
    status_t status = temp_file(cg, out_path, ".o", object, bytes, &object_path);
    if (status == STATUS_OK)
        status = temp_file(cg, out_path, ".elf", "", 0, &elf_path);
    if (status == STATUS_OK)
        status = run_linker(cg, object_path, elf_path);
    if (status == STATUS_OK && file_map_open(elf_path, out_elf) != STATUS_OK)
        status = fail(cg, STATUS_IO, elf_path, "cannot be read");
    if (object_path)
        (void)unlink(object_path);
    if (elf_path)
        (void)unlink(elf_path); // the mapping keeps its bytes
    return status;
}
