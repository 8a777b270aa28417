# Throughput over time of the tests of a `smux bench --tsv PREFIX`: one line a test.
#
#   gnuplot -e "data='PREFIX.intervals.tsv'; output='intervals.svg'" plots/intervals.gp
load ARG0[1:strstrt(ARG0, "intervals.gp") - 1] . "terminal.gp"
load ARG0[1:strstrt(ARG0, "intervals.gp") - 1] . "blocks.gp"

set title "Throughput of smux bench"
set xlabel "time, s"
set ylabel "GB/s"
set yrange [0:*]
set key outside right
plot for [i = 1:n_tests] data index i using (($4 + $5) / 2):($7 / 1e9) \
     with linespoints lw 2 title names[i]
