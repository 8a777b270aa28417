# Everybody's figures, as how many times better than raw sockets, from the compare.tsv of bench/compare --out.
#
#   gnuplot -e "data='build/bench/compare.tsv'; output='bars.svg'" plots/bars.gp
wide = 1
load ARG0[1:strstrt(ARG0, "bars.gp") - 1] . "terminal.gp"

set datafile separator "\t"
set datafile missing "nan"
stats data using (1) skip 1 nooutput
n_names = STATS_columns - 1
set title "Times better than raw sockets: rate, latency and CPU"
set style data histogram
set style histogram clustered gap 2
set style fill solid 0.7 noborder
set logscale y
set yrange [0.01:*]
set format y "%g"
set ylabel "x raw sockets, the higher the better"
set xtics rotate by -35 scale 0 font ",9"
set rmargin 24
set key outside right
plot for [i = 2:n_names + 1] data using i:xtic(1) title columnhead(i), \
     1 with lines lw 1 lc "black" notitle
