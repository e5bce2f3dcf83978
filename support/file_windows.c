// SPDX-License-Identifier: Apache-2.0
// Paths are UTF-8 in our interfaces and UTF-16 in the system's.
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// winnt.h has a macro STATUS_NO_MEMORY that would break our status table.
#define WIN32_NO_STATUS
#include <windows.h>

#include "support/file.h"

static wchar_t *wide_path(const char *path) {
    int length = MultiByteToWideChar(CP_UTF8, 0, path, -1, NULL, 0);
    if (length <= 0)
        return NULL;
    wchar_t *wide = calloc((size_t)length, sizeof *wide);
    if (wide != NULL)
        MultiByteToWideChar(CP_UTF8, 0, path, -1, wide, length);
    return wide;
}

static status_t status_of_last_error(void) {
    DWORD error = GetLastError();
    return error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND ? STATUS_NOT_FOUND
           : error == ERROR_ACCESS_DENIED                                 ? STATUS_DENIED
                                                                          : STATUS_IO;
}

static status_t map_handle(HANDLE file, file_map_t *out_map) {
    LARGE_INTEGER size;
    if (GetFileType(file) != FILE_TYPE_DISK)
        return STATUS_INVALID;
    if (!GetFileSizeEx(file, &size) || (uint64_t)size.QuadPart > SIZE_MAX)
        return STATUS_IO;
    if (size.QuadPart == 0)
        return STATUS_OK;
    HANDLE mapping = CreateFileMappingW(file, NULL, PAGE_READONLY, 0, 0, NULL);
    if (mapping == NULL)
        return STATUS_IO;
    out_map->data = MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0);
    if (out_map->data == NULL) {
        CloseHandle(mapping);
        return STATUS_IO;
    }
    out_map->bytes = (size_t)size.QuadPart;
    out_map->os_handle = mapping;
    return STATUS_OK;
}

status_t file_map_open(const char *path, file_map_t *out_map) {
    *out_map = (file_map_t){0};
    wchar_t *wide = wide_path(path);
    if (wide == NULL)
        return STATUS_IO;
    HANDLE file = CreateFileW(wide, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    free(wide);
    if (file == INVALID_HANDLE_VALUE)
        return status_of_last_error();
    status_t status = map_handle(file, out_map);
    CloseHandle(file);
    return status;
}

void file_map_close(file_map_t *map) {
    if (map->data != NULL)
        UnmapViewOfFile(map->data);
    if (map->os_handle != NULL)
        CloseHandle(map->os_handle);
    *map = (file_map_t){0};
}

static void forget(file_out_t *file) {
    free(file->path);
    free(file->temp_path);
    *file = (file_out_t){0};
}

static FILE *open_new(const char *path) {
    wchar_t *wide = wide_path(path);
    FILE *stream = wide == NULL ? NULL : _wfopen(wide, L"wbx");
    free(wide);
    return stream;
}

status_t file_out_open(const char *path, file_out_t *out_file) {
    *out_file = (file_out_t){0};
    size_t bytes = strlen(path) + 48;
    out_file->path = _strdup(path);
    out_file->temp_path = malloc(bytes);
    if (out_file->path == NULL || out_file->temp_path == NULL) {
        forget(out_file);
        return STATUS_NO_MEMORY;
    }
    for (int n = 0; n < 100 && out_file->stream == NULL; n++) {
        snprintf(out_file->temp_path, bytes, "%s.tmp-%lu-%d", path, GetCurrentProcessId(), n);
        out_file->stream = open_new(out_file->temp_path);
    }
    if (out_file->stream == NULL) {
        forget(out_file);
        return STATUS_IO;
    }
    return STATUS_OK;
}

static bool rename_over(const char *from, const char *to) {
    wchar_t *wide_from = wide_path(from);
    wchar_t *wide_to = wide_path(to);
    bool ok = wide_from != NULL && wide_to != NULL &&
              MoveFileExW(wide_from, wide_to, MOVEFILE_REPLACE_EXISTING);
    free(wide_from);
    free(wide_to);
    return ok;
}

status_t file_out_commit(file_out_t *file) {
    bool ok = fflush(file->stream) == 0 && !ferror(file->stream);
    ok = fclose(file->stream) == 0 && ok;
    file->stream = NULL;
    if (!ok || !rename_over(file->temp_path, file->path)) {
        file_out_abort(file);
        return STATUS_IO;
    }
    forget(file);
    return STATUS_OK;
}

void file_out_abort(file_out_t *file) {
    if (file->stream != NULL)
        fclose(file->stream);
    wchar_t *wide = file->temp_path == NULL ? NULL : wide_path(file->temp_path);
    if (wide != NULL)
        DeleteFileW(wide);
    free(wide);
    forget(file);
}
