# SPDX-License-Identifier: Apache-2.0
# Checks the #include lines of the files named on standard input against includes.txt.
# awk -v table=tests/house/includes.txt -f tests/house/includes.awk <list-of-files, in the root
BEGIN {
    n = split("float iso646 limits stdalign stdarg stdbool stddef stdint stdnoreturn", w, " ")
    for (i = 1; i <= n; i++) free_header[w[i] ".h"] = 1
    n = split("assert complex ctype errno fenv inttypes locale math setjmp signal stdatomic stdio " \
              "stdlib string tgmath threads time uchar wchar wctype", w, " ")
    for (i = 1; i <= n; i++) libc_header[w[i] ".h"] = 1
    n = split("compiler status checked dtype list mem numeric", w, " ")
    for (i = 1; i <= n; i++) base_header["support/" w[i] ".h"] = 1
    while ((getline line < table) > 0) {
        if (line ~ /^#/ || line ~ /^[ \t]*$/) continue
        split(line, column, "|")
        gsub(/[ \t]/, "", column[1])
        ours[column[1]] = column[2]
        system_ok[column[1]] = column[3]
    }
}

function fail(file, number, text) {
    printf "%s:%d: %s\n", file, number, text
    failures++
}

function below(path, folder) { return path == folder || index(path, folder "/") == 1 }

function row_of(file,    path, best) {
    best = ""
    for (path in ours)
        if (below(file, path) && length(path) > length(best)) best = path
    return best
}

function may_ours(row, file, header,    i, n, w, folder) {
    folder = file
    sub(/\/[^\/]*$/, "", folder)
    if (below(header, folder)) return 1
    n = split(ours[row], w, " ")
    for (i = 1; i <= n; i++) {
        if (w[i] == "*" || below(header, w[i])) return 1
        if (w[i] == "base" && header in base_header) return 1
    }
    return 0
}

function may_system(row, header,    i, n, w) {
    n = split(system_ok[row], w, " ")
    for (i = 1; i <= n; i++) {
        if (w[i] == "*" || w[i] == header) return 1
        if ((w[i] == "free" || w[i] == "libc") && header in free_header) return 1
        if (w[i] == "libc" && header in libc_header) return 1
        if (w[i] ~ /\/$/ && index(header, w[i]) == 1) return 1
    }
    return 0
}

function exists(path,    line, result) {
    result = (getline line < path) >= 0
    close(path)
    return result
}

function check_ours(row, file, number, header,    public) {
    public = index(header, "accel/") == 1
    if (header ~ /(^|\/)\.\.?\//) {
        fail(file, number, "write \"" header "\" from the repository root")
        return
    }
    if (public) header = "runtime/include/" header
    # What the build generates has no file in the tree; its folder is named all the same.
    if (!exists(header) && header !~ /(\.(pb-c\.h|gen\.h|inc)|^isa\/device\.h)$/) {
        fail(file, number, "\"" header "\" is no file of the tree, seen from its root")
        return
    }
    if (!may_ours(row, file, header))
        fail(file, number, row " may not include \"" header "\"")
}

function check_line(row, file, number, line,    header) {
    if (line !~ /^[ \t]*#[ \t]*include[ \t]/) return
    header = line
    if (match(line, /"[^"]*"/)) {
        header = substr(line, RSTART + 1, RLENGTH - 2)
        check_ours(row, file, number, header)
    } else if (match(line, /<[^>]*>/)) {
        header = substr(line, RSTART + 1, RLENGTH - 2)
        if (index(header, "accel/") == 1)
            check_ours(row, file, number, header)
        else if (!may_system(row, header))
            fail(file, number, row " may not include <" header ">")
    }
    n_includes++
}

{
    file = $0
    row = row_of(file)
    if (row == "") {
        fail(file, 1, "no row of includes.txt covers this folder")
        next
    }
    number = 0
    while ((getline line < file) > 0) check_line(row, file, ++number, line)
    close(file)
    n_files++
}

END {
    printf "%d files, %d includes, %d failures\n", n_files, n_includes, failures
    exit failures != 0 || n_includes == 0
}
