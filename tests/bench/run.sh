#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Measures Accel beside its peer; see --help. Prints tables (Markdown) on standard output, progress
# on standard error.
set -u
here=$(cd "$(dirname "$0")" && pwd)

usage() {
    cat <<'TEXT'
Usage: tests/bench/run.sh [OPTION]... [NAME...]
Times compiled models on the simulated card against ONNX Runtime on this machine, and models their
cycles on the profiles edge and server. NAMEs are those of bench_graphs; without, all of them.

  --bin=DIR      the tools, and what tests/bench builds (default build/release/bin)
  --cache=DIR    where models, programs and the peer lie (default ~/.cache/accel-bench; 5 GB)
  --rounds=N     how often ours and the peer take turns (default 3)
  --seconds=S    how long each runs a turn (default 2)
  --quick        one round of half a second, one thread, no edge and server
  --no-peer      ours only
  --no-model     no edge and server
TEXT
}

bin=build/release/bin cache=${XDG_CACHE_HOME:-$HOME/.cache}/accel-bench
rounds=3 seconds=2 threads="1 2" with_peer=1 with_model=1 names=
for option in "$@"; do
    case "$option" in
    --bin=?*) bin=${option#*=} ;;
    --cache=?*) cache=${option#*=} ;;
    --rounds=?*) rounds=${option#*=} ;;
    --seconds=?*) seconds=${option#*=} ;;
    --quick) rounds=1 seconds=0.5 threads=1 with_model=0 ;;
    --no-peer) with_peer=0 ;;
    --no-model) with_model=0 ;;
    -h | --help)
        usage
        exit 0
        ;;
    -*)
        echo "run.sh: unknown option '$option'" >&2
        usage >&2
        exit 2
        ;;
    *) names="$names $option" ;;
    esac
done
say() { echo "bench: $*" >&2; }
for tool in accelc accelrun bench_graphs bench_measure hart_bench engine_bench; do
    [ -x "$bin/$tool" ] || {
        say "$bin/$tool is missing: cmake --preset release && cmake --build --preset release"
        exit 1
    }
done
graphs=$cache/graphs work=$cache/work package=$cache/peer
rm -rf "$work"
mkdir -p "$graphs" "$work" || exit 1

# The median of the numbers on standard input, one a line; "-" without any.
median() {
    sort -g | awk '{ v[NR] = $1 }
        END { if (NR == 0) print "-"; else print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}
# ratio A B DIGITS: A / B, or "-" where one is missing.
ratio() {
    awk -v a="$1" -v b="$2" -v n="$3" \
        'BEGIN { if (a + 0 > 0 && b + 0 > 0) printf "%.*f", n, a / b; else printf "-" }'
}
# json FILE KEY: the first number of that name; accelrun writes one member a line.
json() { sed -n 's/^ *"'"$2"'": *\([-0-9.eE+]*\),\{0,1\} *$/\1/p' "$1" 2>/dev/null | head -n 1; }

# ms median|min: of the runs in the last JSON.
ms() { json "$work/json" "$1" | awk '{ printf "%.4f\n", $1 * 1e3 }'; }
# of FILE: the median of the turns' medians, and their fastest run.
of() { cut -d ' ' -f 1 "$1" 2>/dev/null | median; }
fastest() { cut -d ' ' -f 2 "$1" 2>/dev/null | sort -g | head -n 1; }

get_peer() {
    [ "$with_peer" = 1 ] || return 1
    command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 || {
        say "no node and npm here: ours only"
        return 1
    }
    [ -d "$package/node_modules/onnxruntime-node" ] && return 0
    mkdir -p "$package"
    echo '{ "private": true }' >"$package/package.json"
    say "fetching the peer: npm install --ignore-scripts onnxruntime-node@1.30"
    (cd "$package" && npm install --ignore-scripts --no-audit --no-fund onnxruntime-node@1.30) \
        >"$work/npm.log" 2>&1 && return 0
    say "the peer cannot be fetched (see $work/npm.log): ours only"
    return 1
}

# Arguments of accelrun for a model's inputs.
inputs_of() { sed -n 's/^input \([^ ]*\) \(.*\)$/--input \1=\2/p' "$graphs/$1.txt"; }

compile() { # NAME PROFILE
    "$bin/bench_measure" "$work/$1.$2.compile" \
        "$bin/accelc" --arch="$2" "$graphs/$1.onnx" -o "$work/$1.$2.bin" 2>"$work/$1.$2.log" && return
    say "$1 does not compile for $2: $(head -n 1 "$work/$1.$2.log")"
    return 1
}

# Each turn adds a line to NAME.ours.T and NAME.peer.T.
turn_ours() { # NAME THREADS REPEAT
    # shellcheck disable=SC2046 # a list of words; names and paths hold no blanks
    "$bin/accelrun" "$work/$1.host.bin" $(inputs_of "$1") --cores "$2" --repeat "$3" --json \
        >"$work/json" 2>"$work/$1.run.log" || {
        say "$1 does not run: $(head -n 1 "$work/$1.run.log")"
        return 1
    }
    echo "$(ms median) $(ms min)" >>"$work/$1.ours.$2"
}
turn_peer() { # NAME THREADS
    node "$here/peer.mjs" run "$package" "$graphs" "$1" "$2" "$seconds" >"$work/line" \
        2>"$work/$1.peer.log" || {
        say "the peer does not run $1: $(head -n 1 "$work/$1.peer.log")"
        return 1
    }
    cat "$work/line" >>"$work/$1.peer.$2"
}

# Outputs of both, compared: the largest |a - b| / (1 + |b|).
compare() { # NAME
    mkdir -p "$work/ours" "$work/peer_out"
    rm -f "$work/ours"/* "$work/peer_out"/*
    # shellcheck disable=SC2046
    "$bin/accelrun" "$work/$1.host.bin" $(inputs_of "$1") --output-dir "$work/ours" \
        >/dev/null 2>&1 &&
        node "$here/peer.mjs" run "$package" "$graphs" "$1" 1 0 "$work/peer_out" >/dev/null 2>&1 &&
        node "$here/peer.mjs" compare "$work/ours" "$work/peer_out" 2>/dev/null
}

# How many runs fill $seconds, from the time of three.
repeats() { # NAME THREADS
    # shellcheck disable=SC2046
    "$bin/accelrun" "$work/$1.host.bin" $(inputs_of "$1") --cores "$2" --repeat 3 --json \
        >"$work/json" 2>"$work/$1.run.log"
    awk -v ms="$(ms median)" -v s="$seconds" \
        'BEGIN { n = ms > 0 ? int(s * 1000 / ms) : 5; print n < 5 ? 5 : (n > 2000 ? 2000 : n) }'
}

measure() { # NAME
    for t in $threads; do
        n=$(repeats "$1" "$t")
        round=1
        while [ "$round" -le "$rounds" ]; do
            turn_ours "$1" "$t" "$n" || break
            [ "$peer" = 0 ] || turn_peer "$1" "$t"
            round=$((round + 1))
        done
    done
}

row_speed() { # NAME
    line="| $1 | $(sed -n 's/^gflop //p' "$graphs/$1.txt")"
    for t in $threads; do
        ours=$(of "$work/$1.ours.$t")
        theirs=$(of "$work/$1.peer.$t")
        line="$line | $ours | $theirs | $(ratio "$ours" "$theirs" 2)"
        line="$line | $(ratio "$(fastest "$work/$1.ours.$t")" "$(fastest "$work/$1.peer.$t")" 2)"
    done
    error=-
    [ "$peer" = 0 ] || error=$(compare "$1")
    echo "$line | ${error:-no result} |"
}

row_compile() { # NAME
    read -r ms kb <"$work/$1.host.compile" || return
    weights=$(wc -c <"$graphs/$1.onnx")
    session=$(cut -d ' ' -f 4 "$work/$1.peer.1" 2>/dev/null | median)
    peer_kb=$(cut -d ' ' -f 5 "$work/$1.peer.1" 2>/dev/null | median)
    echo "| $1 | $(ratio "$weights" 1e6 1) | $ms | $(ratio "$kb" 1000 0) |" \
        "$(wc -c <"$work/$1.host.bin" | awk '{ printf "%.1f", $1 / 1e6 }') | $session |" \
        "$(ratio "$peer_kb" 1000 0) |"
}

row_model() { # NAME PROFILE CORES MACS_A_CYCLE DRAM_BYTES_A_CYCLE
    compile "$1" "$2" || return
    # shellcheck disable=SC2046
    "$bin/accelrun" "$work/$1.$2.bin" $(inputs_of "$1") --timing --json \
        >"$work/json" 2>"$work/$1.run.log" || {
        say "$1 does not run on $2: $(head -n 1 "$work/$1.run.log")"
        return
    }
    awk -v name="$1" -v profile="$2" -v cores="$3" -v peak="$(($3 * $4))" -v bw="$5" \
        -v cycles="$(json "$work/json" cycles)" -v macs="$(json "$work/json" macs)" \
        -v bytes="$(json "$work/json" dram_bytes)" \
        -v least_bytes="$(sed -n 's/^bytes //p' "$graphs/$1.txt")" \
        -v dma_in="$(json "$work/json" dma_in)" -v dma_out="$(json "$work/json" dma_out)" \
        -v matrix="$(json "$work/json" matrix)" -v vector="$(json "$work/json" vector)" '
        function busiest(    i, n, v, w, best) {
            n = split("DMA in|DMA out|matrix|vector", w, "|")
            v[1] = dma_in; v[2] = dma_out; v[3] = matrix; v[4] = vector
            best = 1
            for (i = 2; i <= n; i++) if (v[i] + 0 > v[best] + 0) best = i
            return sprintf("%s %.0f%%", w[best], 100 * v[best] / cores / cycles)
        }
        BEGIN {
            if (cycles + 0 == 0) exit
            least = macs / peak > least_bytes / bw ? macs / peak : least_bytes / bw
            printf "| %s | %s | %.3f | %.1f%% | %.1f%% | %s | %.1f | %.1f | %.0f%% |\n", name,
                profile, cycles / 1e6, 100 * macs / peak / cycles, 100 * macs / peak / least,
                busiest(), bytes / 1e6, least_bytes / 1e6, 100 * bytes / bw / cycles
        }'
}

# shellcheck disable=SC2086 # a list of names
names=$("$bin/bench_graphs" "$graphs" $names) || exit 1
peer=0
get_peer && peer=1
load=$(cut -d ' ' -f 1 /proc/loadavg)
for name in $names; do
    say "$name"
    compile "$name" host && measure "$name"
done

echo "Machine: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs;" \
    "$(date -u +%F); peer: $([ "$peer" = 1 ] && cut -d ' ' -f 6 "$work"/*.peer.1 | head -n 1 |
        sed 's/^/ONNX Runtime /' || echo none); $rounds rounds of $seconds s;" \
    "load average before: $load (0 is a quiet machine);" \
    "tree: $(git -C "$here" rev-parse --short HEAD 2>/dev/null || echo unknown)."
echo
echo "Wall clock, ms, medians; ratio = ours : peer, and the same of the fastest runs, which other" \
    "work on the machine disturbs least; error = largest |ours - peer| / (1 + |peer|)."
echo
head="| model | GFLOP" rule="| --- | ---:"
for t in $threads; do
    head="$head | ours, $t thr. | peer | ratio | fastest" rule="$rule | ---: | ---: | ---: | ---:"
done
echo "$head | error |"
echo "$rule | ---: |"
for name in $names; do row_speed "$name"; done
echo
echo "Compiling (profile host, -O2), and the peer making its session."
echo
echo "| model | .onnx MB | accelc ms | peak MB | model.bin MB | peer ms | peer's peak MB |"
echo "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
for name in $names; do row_compile "$name"; done
[ "$with_model" = 1 ] || exit 0
echo
echo "Modelled cycles (the simulated card in timing mode). Utilisation: share of the matrix peak;" \
    "bound: the share that is left when weights, inputs and outputs cross DRAM once and nothing" \
    "else does; busiest: the engine with the most work by the cost function, as a share of all" \
    "cycles; DRAM: bytes moved, the least that had to be, and the share of DRAM's rate."
echo
echo "| model | profile | Mcycles | utilisation | bound | busiest | DRAM MB | least | DRAM busy |"
echo "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
for name in $names; do
    say "$name on edge and server"
    row_model "$name" edge 2 256 64
    row_model "$name" server 8 1024 1024
done
echo
echo "The simulated hart, and the engines of the set fast, on one core of this machine."
echo
echo '```'
"$bin/hart_bench"
"$bin/engine_bench" fast
echo '```'
