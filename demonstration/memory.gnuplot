# SPDX-License-Identifier: Apache-2.0
# Memory over time of both sides, one above the other on the same axes; right: the evictions alone.
# Needs: dir (with squeezy.tsv, virtio-mem.tsv), kind (png or svg).
if (kind eq "png") {
	set terminal pngcairo size 1200,760 font "DejaVu Sans,11" background rgb "white"
} else {
	set terminal svg size 1200,760 font "DejaVu Sans,13" background rgb "white"
}
set output dir."/memory.".kind
ours = dir."/squeezy.tsv"
stock = dir."/virtio-mem.tsv"
stats ours using 1:2 nooutput
x0 = STATS_min_x; x1 = STATS_max_x; y1 = STATS_max_y
stats stock using 1:2 nooutput
if (STATS_min_x < x0) x0 = STATS_min_x
if (STATS_max_x > x1) x1 = STATS_max_x
if (STATS_max_y > y1) y1 = STATS_max_y
set yrange [0:y1 * 1.1]
set grid back linecolor rgb "#dddddd"
set border 3
set tics nomirror out
set key off
set style fill solid
set multiplot
do for [side = 0:1] {
	file = side ? stock : ours
	y = side ? 0.02 : 0.50
	set label 1 (side ? "stock virtio-mem, same kernel (its device also holds the 512 MiB shared part, which stays plugged)" : \
		"squeezy: partitions") at graph 0, graph 1.08 left font ",13"
	set origin 0, y
	set size 0.62, 0.47
	set tmargin 3; set bmargin 3.2; set lmargin 9; set rmargin 2
	set ylabel "MiB"
	set xlabel (side ? "seconds, 0 = the evictions begin" : "")
	set xrange [x0:x1]
	plot file using 1:3 with filledcurves y1=0 fillcolor rgb "#cfe3f5" notitle, \
		file using 1:2 with steps linewidth 2 linecolor rgb "#d9822b" notitle, \
		file using 1:4 with lines linewidth 2 linecolor rgb "#1f5fa8" notitle
	unset label 1
	unset ylabel
	set origin 0.62, y
	set size 0.38, 0.47
	set lmargin 5
	set xrange [-0.5:3.5]
	if (side == 0) {
		set key at graph 1, graph 1.0 right top samplen 2 spacing 1.2 opaque noenhanced
	}
	plot file using 1:3 with filledcurves y1=0 fillcolor rgb "#cfe3f5" title "used in the guest", \
		file using 1:2 with steps linewidth 2 linecolor rgb "#d9822b" title "plugged", \
		file using 1:4 with linespoints pointtype 7 pointsize 0.4 linewidth 2 linecolor rgb "#1f5fa8" title "resident on host"
	set key off
}
unset multiplot
