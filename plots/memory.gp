# Memory of an idle stream against their number.
#
#   gnuplot -e "data='build/bench/memory.tsv'; output='memory.svg'" plots/memory.gp
load ARG0[1:strstrt(ARG0, "memory.gp") - 1] . "terminal.gp"
load ARG0[1:strstrt(ARG0, "memory.gp") - 1] . "series.gp"

set title "Idle streams: memory of each end"
set xlabel "open streams"
set ylabel "bytes"
set logscale xy
set key outside right
plot for [i = 1:n_series] data index (i - 1) skip 1 using 1:2 \
     with linespoints lw 2 title series[i]
