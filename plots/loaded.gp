# How many messages of a ping-pong took longer, beside 8 bulk streams.
#
#   gnuplot -e "data='build/bench/loaded.tsv'; output='loaded.svg'" plots/loaded.gp
load ARG0[1:strstrt(ARG0, "loaded.gp") - 1] . "terminal.gp"
load ARG0[1:strstrt(ARG0, "loaded.gp") - 1] . "series.gp"

set title "64-byte ping-pong beside 8 bulk streams"
set xlabel "microseconds"
set ylabel "share of messages that took longer"
set logscale xy
set format y "10^{%L}"
set yrange [1e-4:1]
set key outside right
plot for [i = 1:n_series] data index (i - 1) skip 1 using 1:2 \
     with lines lw 2 title series[i]
