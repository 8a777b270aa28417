# Chooses the output of a figure; loaded by the other scripts.
#
# kind: svg, png or dumb; output: file, of svg and png; columns, rows: size of dumb;
# wide, tall: larger, for figures with much on them
if (!exists("kind")) { kind = "svg" }
width = exists("wide") ? 1400 : 900
height = exists("wide") || exists("tall") ? 700 : 480
if (kind eq "svg") { set terminal svg size width,height font "sans,14" background "white" }
if (kind eq "png") { set terminal pngcairo size width,height font "sans,11" }
if (kind eq "dumb") {
    columns_n = exists("columns") ? int(columns) : 79
    rows_n = exists("rows") ? int(rows) : 20
    set terminal dumb size columns_n, rows_n
}
if (exists("output")) { set output output }
if (kind ne "dumb") { set grid }
set border 3
set tics nomirror
