# Fairness over time: Jain's index of 64 bulk streams.
#
#   gnuplot -e "data='build/bench/fairness.tsv'; output='fairness.svg'" plots/fairness.gp
load ARG0[1:strstrt(ARG0, "fairness.gp") - 1] . "terminal.gp"
load ARG0[1:strstrt(ARG0, "fairness.gp") - 1] . "series.gp"

set title "64 bulk streams: Jain's index in each 0.1 s"
set xlabel "time, s"
set ylabel "1: all get the same; 1/64: one gets all"
set xrange [0:*]
set yrange [0:1.05]
set key bottom right
plot for [i = 1:n_series] data index (i - 1) skip 1 using 1:2 \
     with linespoints lw 2 title series[i]
