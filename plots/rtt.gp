# Throughput against the round trip, with the lines window/RTT, from the table of bench/rtt.
#
#   gnuplot -e "data='rtt.tsv'; kind='svg'; output='rtt.svg'" plots/rtt.gp
#
# kind: svg, png, or dumb (a picture of letters on standard output; columns, rows)
load ARG0[1:strstrt(ARG0, "rtt.gp") - 1] . "terminal.gp"

set datafile separator "\t"
set title "Throughput of one stream over a long link"
set xlabel "round trip, ms"
set ylabel "MB/s"
set logscale xy
set key outside right

# Block 0 is the line with the names of the columns.
stats data using (1) nooutput
n_tests = int(STATS_blocks) - 1
array names[n_tests]
array windows[n_tests]
array links[n_tests]
do for [i = 1:n_tests] {
    stats data index i using (names[i] = strcol(1), windows[i] = column(2), \
                              links[i] = column(6), 1) nooutput
}
title_of(i) = windows[i] > 0 ? sprintf("%s, window %.0f KiB", names[i], windows[i] / 1024) : names[i]
line(i, rtt) = windows[i] > 0 && windows[i] / rtt * 1000 < links[i] ? windows[i] / rtt / 1000 : NaN

plot links[1] / 1e6 with lines dashtype 2 lc "grey" title "link", \
     for [i = 1:n_tests] line(i, x) with lines dashtype 3 lc i notitle, \
     for [i = 1:n_tests] data index i using 3:($4 / 1e6) with linespoints lc i pt 7 title title_of(i)
