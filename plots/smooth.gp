# The rate at which data arrives while its reader reads in bursts: one panel a kind.
#
#   gnuplot -e "data='build/bench/smooth.tsv'; output='smooth.svg'" plots/smooth.gp
tall = 1
load ARG0[1:strstrt(ARG0, "smooth.gp") - 1] . "terminal.gp"
load ARG0[1:strstrt(ARG0, "smooth.gp") - 1] . "series.gp"

set multiplot layout n_series, 1 \
    title "MB/s arriving in bins of 10 ms; link of 100 MB/s, reader in bursts of 1 to 20 ms"
set xrange [0:*] noextend
set yrange [0:200]
set ytics 50
set lmargin 6
set bmargin 2
set tmargin 2
set key off
do for [i = 1:n_series] {
    set title series[i] offset 0, -0.7
    plot data index (i - 1) skip 1 using 1:2 with steps lw 1.5 lt i
}
unset multiplot
