// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/file.h"

static status_t status_of_errno(void) {
    return errno == ENOENT || errno == ENOTDIR ? STATUS_NOT_FOUND
           : errno == EACCES || errno == EPERM ? STATUS_DENIED
           : errno == EISDIR                   ? STATUS_INVALID
                                               : STATUS_IO;
}

static status_t map_descriptor(int fd, file_map_t *out_map) {
    struct stat info;
    if (fstat(fd, &info) != 0)
        return STATUS_IO;
    if (!S_ISREG(info.st_mode))
        return STATUS_INVALID;
    if (info.st_size < 0 || (uintmax_t)info.st_size > SIZE_MAX)
        return STATUS_IO;
    if (info.st_size == 0)
        return STATUS_OK;
    void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return STATUS_IO;
    out_map->data = data;
    out_map->bytes = (size_t)info.st_size;
    return STATUS_OK;
}

status_t file_map_open(const char *path, file_map_t *out_map) {
    *out_map = (file_map_t){0};
    // O_NONBLOCK: opening a FIFO by mistake must not hang; regular files ignore it.
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return status_of_errno();
    status_t status = map_descriptor(fd, out_map);
    close(fd);
    return status;
}

void file_map_close(file_map_t *map) {
    if (map->data != NULL)
        munmap((void *)(uintptr_t)map->data, map->bytes);
    *map = (file_map_t){0};
}

static void forget(file_out_t *file) {
    free(file->path);
    free(file->temp_path);
    *file = (file_out_t){0};
}

// Creates path.tmp-<pid>-<n> with the permissions that the umask gives.
static int create_temp(const char *path, char **out_temp_path) {
    size_t bytes = strlen(path) + 48;
    char *temp = malloc(bytes);
    int fd = -1;
    if (temp == NULL)
        return -1;
    for (int n = 0; n < 100; n++) {
        snprintf(temp, bytes, "%s.tmp-%ld-%d", path, (long)getpid(), n);
        fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST)
            break;
    }
    if (fd < 0) {
        free(temp);
        return -1;
    }
    *out_temp_path = temp;
    return fd;
}

status_t file_out_open(const char *path, file_out_t *out_file) {
    *out_file = (file_out_t){0};
    struct stat info;
    bool exists = stat(path, &info) == 0;
    // Through a symbolic link, the file behind it is replaced, not the link.
    out_file->path = exists ? realpath(path, NULL) : strdup(path);
    if (out_file->path == NULL)
        return STATUS_NO_MEMORY;
    int fd;
    if (exists && !S_ISREG(info.st_mode)) // /dev/null, a pipe: never renamed over
        fd = open(path, O_WRONLY | O_CLOEXEC);
    else
        fd = create_temp(out_file->path, &out_file->temp_path);
    if (fd < 0) {
        status_t status = status_of_errno();
        forget(out_file);
        return status;
    }
    out_file->stream = fdopen(fd, "wb");
    if (out_file->stream == NULL) {
        close(fd);
        file_out_abort(out_file);
        return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

status_t file_out_commit(file_out_t *file) {
    bool ok = fflush(file->stream) == 0 && !ferror(file->stream);
    ok = fclose(file->stream) == 0 && ok;
    file->stream = NULL;
    if (ok && file->temp_path != NULL)
        ok = rename(file->temp_path, file->path) == 0;
    if (!ok) {
        file_out_abort(file);
        return STATUS_IO;
    }
    forget(file);
    return STATUS_OK;
}

void file_out_abort(file_out_t *file) {
    if (file->stream != NULL)
        fclose(file->stream);
    if (file->temp_path != NULL)
        unlink(file->temp_path);
    forget(file);
}
