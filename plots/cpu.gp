# Processor time a byte against the frame size.
#
#   gnuplot -e "data='build/bench/cpu.tsv'; output='cpu.svg'" plots/cpu.gp
load ARG0[1:strstrt(ARG0, "cpu.gp") - 1] . "terminal.gp"
load ARG0[1:strstrt(ARG0, "cpu.gp") - 1] . "series.gp"

set title "One bulk stream: processor time of both ends"
set xlabel "largest payload of a frame, bytes"
set ylabel "ns/byte"
set logscale x 2
set yrange [0:*]
set key top right
plot for [i = 1:n_series] data index (i - 1) skip 1 using 1:2 \
     with linespoints lw 2 title series[i]
