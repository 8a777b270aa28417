# Distribution of the latency of a `smux bench --tsv PREFIX`: the share of messages that took
# longer, both axes logarithmic, so that the rare slow ones show.
#
#   gnuplot -e "data='PREFIX.latency.tsv'; output='latency.svg'" plots/latency.gp
load ARG0[1:strstrt(ARG0, "latency.gp") - 1] . "terminal.gp"
load ARG0[1:strstrt(ARG0, "latency.gp") - 1] . "blocks.gp"

set title "Latency of smux bench"
set xlabel "microseconds"
set ylabel "share of messages that took longer"
set logscale xy
set format y "10^{%L}"
set key outside right
# The last bucket has none above it, which no logarithm can show.
plot for [i = 1:n_tests] data index i using 4:($6 < 1 ? 1 - $6 : NaN) \
     with lines lw 2 title names[i]
