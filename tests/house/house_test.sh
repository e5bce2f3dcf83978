#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# house_test.sh CHECK SOURCE_DIR [LIB_DIR]: one check of the whole tree. See the functions below.
set -u
check=$1
cd "$2" || exit 1
lib_dir=${3-}

# Files of the tree: git's, or in an unpacked archive all but the build folder.
list_files() {
    git ls-files 2>/dev/null | grep . || find . -type f ! -path './build/*' ! -path './.git/*' | sed 's|^\./||'
}
# A file that git knows but someone has just removed is no failure of the house.
existing() { while IFS= read -r file; do [ -f "$file" ] && printf '%s\n' "$file"; done; }
sources() { list_files | grep -E '\.(c|h)$' | existing; }

failures=0
bad() {
    printf '%s\n' "$*"
    failures=$((failures + 1))
}

# Every #include obeys includes.txt.
check_includes() {
    sources | awk -v table=tests/house/includes.txt -f tests/house/includes.awk
}

# Every folder that holds code has a README.md of at most 20 lines.
check_readmes() {
    folders=$(list_files | existing | grep -E '\.(c|h|def|sh|cmake)$|CMakeLists\.txt$' |
        grep / | sed 's|/[^/]*$||' | sort -u | grep -vE '(^|/)include(/|$)')
    for folder in $folders; do
        readme=$folder/README.md
        if [ ! -f "$readme" ]; then
            bad "$readme: missing"
        elif [ "$(wc -l <"$readme")" -gt 20 ]; then
            bad "$readme: more than 20 lines"
        fi
    done
    [ "$failures" = 0 ]
}

# Sources are at most 900 lines long and name their licence; nothing names one machine's folders.
check_files() {
    for file in $(sources); do
        lines=$(wc -l <"$file")
        [ "$lines" -le 900 ] || bad "$file: $lines lines; split above 900"
        head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' ||
            bad "$file: no SPDX line at the top"
    done
    paths=$(list_files | existing | tr '\n' '\0' |
        xargs -0 grep -nIE '(^|[^A-Za-z0-9_.}-])/(work|home)/' -- | grep -v '^tests/house/house_test.sh:')
    [ -z "$paths" ] || bad "a path of one machine:
$paths"
    [ "$failures" = 0 ]
}

# No library keeps writable state outside a context: nothing in .data or .bss.
check_globals() {
    found=0
    for lib in "$lib_dir"/libaccel_*.a; do
        [ -f "$lib" ] || continue
        found=1
        case "$lib" in *accel_test_*) continue ;; esac
        symbols=$(objdump -t "$lib" 2>/dev/null |
            awk '/ O \.(data|bss|tdata|tbss)([.][^r][^ ]*)?[ \t]/ { print "    " $NF }')
        [ -z "$symbols" ] || bad "$(basename "$lib"): mutable globals:
$symbols"
    done
    [ "$found" = 1 ] || bad "no library in '$lib_dir'"
    [ "$failures" = 0 ]
}

# The machine half knows the simulated card by its constructor alone, and only those that make cards,
# the runtime and the daemon, know that.
check_symbols() {
    found=0
    for lib in hw rm port_user daemon runtime; do
        file=$lib_dir/libaccel_$lib.a
        [ -f "$file" ] || continue
        found=1
        known=
        case "$lib" in daemon | runtime) known=sim_function_create ;; esac
        symbols=$(nm -u "$file" 2>/dev/null | awk '{ print $NF }' | grep '^sim_' | grep -vx "$known")
        [ -z "$symbols" ] || bad "$(basename "$file") reaches into the simulated card:
$symbols"
    done
    [ "$found" = 1 ] || bad "no library in '$lib_dir'"
    [ "$failures" = 0 ]
}

# docs/driver.md has a row for everything that the system may ask of a Windows driver, and says of
# what it must not have that it has not.
check_mcdm() {
    rows=$(sed -n '/^### MCDM: each DDI/,/^## /p' docs/driver.md | grep '^|')
    while read -r kind name need; do
        case "$kind" in '' | '#') continue ;; esac
        row=$(printf '%s\n' "$rows" | grep -w -- "$name" | head -n 1)
        if [ -z "$row" ]; then
            bad "docs/driver.md: no row for $name ($kind, $need)"
        elif [ "$need" = prohibited ] && ! printf '%s\n' "$row" | grep -qE 'NULL|not supported'; then
            bad "docs/driver.md: $name is prohibited, and its row does not say so"
        fi
    done <tests/house/mcdm.txt
    [ "$failures" = 0 ]
}

# Sources look as the tree's .clang-format says. No ctest test: ./check runs it as a stage.
check_format() {
    command -v clang-format >/dev/null 2>&1 || bad "clang-format is missing"
    sources | tr '\n' '\0' | xargs -0 clang-format --dry-run -Werror || failures=1
    [ "$failures" = 0 ]
}

case "$check" in
includes | readmes | files | globals | symbols | mcdm | format) "check_$check" ;;
*)
    echo "no such check: $check"
    exit 2
    ;;
esac
