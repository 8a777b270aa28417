# What open streams cost the others, in the engine alone.
#
#   gnuplot -e "data='build/bench/engine.tsv'; output='engine.svg'" plots/engine.gp
load ARG0[1:strstrt(ARG0, "engine.gp") - 1] . "terminal.gp"
load ARG0[1:strstrt(ARG0, "engine.gp") - 1] . "series.gp"

set title "A 64-byte frame, written, formed, parsed and read in memory"
set xlabel "open streams"
set ylabel "ns"
set logscale xy
set key top left
plot for [i = 1:n_series] data index (i - 1) skip 1 using 1:2 \
     with linespoints lw 2 title series[i]
