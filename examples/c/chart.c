#include "chart.h"
#include "report.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The page, in pixels: a title and a legend, then four panels, two by two. A panel is a plot of curves against the
 * epoch and, to its right, a margin where the spread over the seeds is drawn. */
enum {
    PAGE_WIDTH = 1000,
    PAGE_HEIGHT = 804,
    MARGIN_LEFT = 84,
    PANELS_TOP = 196,
    PLOT_WIDTH = 340,
    SPREAD_WIDTH = 74,
    PANEL_WIDTH = PLOT_WIDTH + SPREAD_WIDTH,
    PANEL_HEIGHT = 236,
    PANEL_GAP_X = 56,
    PANEL_GAP_Y = 64
};

/* How a line looks. The colours are those of Okabe and Ito, which the colour-blind can tell apart too. */
typedef struct {
    const char *colour;
    const char *dashes; /* of SVG's stroke-dasharray */
    double width;
} line_style;

static const line_style FLOAT_STYLE = {"#222222", "1 3", 1.5}; /* after its last epoch */
static const line_style METHOD_STYLE[METHOD_COUNT] = {
    [PTQ_MAX_ABS] = {"#999999", "3 3", 1.6},      [PTQ_MSE] = {"#555555", "9 4", 1.6},
    [QAT_STE] = {"#0072B2", "none", 1.6},         [QAT_STE_MSE] = {"#56B4E9", "none", 1.6},
    [QAT_LEARNED_STEP] = {"#D55E00", "none", 1.6}, [QAT_LSQ] = {"#E69F00", "none", 1.6},
    [QAT_LSQ_MSE] = {"#009E73", "none", 1.6},     [QAT_EWGS] = {"#CC79A7", "none", 1.6},
};

/* ---- one panel: a rectangle, its axes, and where a measurement lies in it ---- */

typedef struct {
    double left, top;
    size_t epochs; /* the right end of the x axis */
} panel;

/* The accuracies at the two ends of the y axis. What lies below, the first epochs from random weights, is cut off. */
static const double ACCURACY_TOP = 99.0, ACCURACY_BOTTOM = 50.0;
static const double ACCURACY_TICKS[] = {99, 98, 97, 95, 90, 80, 70, 50};
enum { ACCURACY_TICK_COUNT = sizeof ACCURACY_TICKS / sizeof ACCURACY_TICKS[0] };

static double x_of(const panel *p, size_t epoch) {
    return p->left + PLOT_WIDTH * (double)epoch / (double)p->epochs;
}

/* The axis is spaced by the logarithm of the error: from 98 to 99 % is as far as from 80 to 90 %, as both halve it. */
static double y_of(const panel *p, double percent) {
    const double least_error = 100.0 - ACCURACY_TOP, most_error = 100.0 - ACCURACY_BOTTOM;
    double error = fmax(100.0 - percent, 0.1); /* no logarithm of zero; 0.1 lies above the panel */
    return p->top + PANEL_HEIGHT * log(error / least_error) / log(most_error / least_error);
}

static void draw_axes(FILE *svg, const panel *p, const char *title) {
    double bottom = p->top + PANEL_HEIGHT;
    size_t step = p->epochs > 20 ? 10 : p->epochs > 5 ? 5 : 1;
    fprintf(svg, "<text class=\"panel\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", p->left, p->top - 12, title);
    for (size_t i = 0; i < ACCURACY_TICK_COUNT; i++) {
        double y = y_of(p, ACCURACY_TICKS[i]);
        fprintf(svg, "<path class=\"grid\" d=\"M%.1f %.1fh%d\"/>\n", p->left, y, PANEL_WIDTH);
        fprintf(svg, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.0f</text>\n", p->left - 8, y + 4,
                ACCURACY_TICKS[i]);
    }
    for (size_t epoch = 0; epoch <= p->epochs; epoch += step) {
        double x = x_of(p, epoch);
        fprintf(svg, "<path class=\"axis\" d=\"M%.1f %.1fv5\"/>\n", x, bottom);
        fprintf(svg, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%zu</text>\n", x, bottom + 20,
                epoch);
    }
    fprintf(svg, "<path class=\"axis\" d=\"M%.1f %.1fv%dh%d\"/>\n", p->left, p->top, PANEL_HEIGHT, PLOT_WIDTH);
}

/* ---- what goes into a panel ---- */

/* Ends the path that a caller has begun with <path d="... */
static void end_path(FILE *svg, line_style style) {
    fprintf(svg, "\" fill=\"none\" stroke=\"%s\" stroke-width=\"%.1f\" stroke-dasharray=\"%s\"/>\n", style.colour,
            style.width, style.dashes);
}

/* The mean over the seeds against the epoch. */
static void draw_curve(FILE *svg, const panel *p, const curve *curves, size_t seeds, line_style style) {
    fputs("<path d=\"", svg);
    for (size_t epoch = 0; epoch <= curves[0].epochs; epoch++) {
        double y = y_of(p, summarize(curves, seeds, epoch).mean);
        fprintf(svg, "%c%.1f %.1f", epoch == 0 ? 'M' : 'L', x_of(p, epoch), y);
    }
    end_path(svg, style);
}

/* A measurement without epochs is a level, drawn across the plot. */
static void draw_level(FILE *svg, const panel *p, double percent, line_style style) {
    fprintf(svg, "<path d=\"M%.1f %.1fh%d", p->left, y_of(p, percent), PLOT_WIDTH);
    end_path(svg, style);
}

/* Right of the plot, in column `position` of METHOD_COUNT: the last mean, and one standard deviation to either side. */
static void draw_spread(FILE *svg, const panel *p, summary last, size_t position, line_style style) {
    double x = p->left + PLOT_WIDTH + SPREAD_WIDTH * (double)(position + 1) / (METHOD_COUNT + 1);
    double high = y_of(p, last.mean + last.deviation), low = y_of(p, last.mean - last.deviation);
    fprintf(svg, "<path stroke=\"%s\" stroke-width=\"2\" d=\"M%.1f %.1fV%.1f\"/>\n", style.colour, x, high, low);
    fprintf(svg, "<circle fill=\"%s\" r=\"4\" cx=\"%.1f\" cy=\"%.1f\"/>\n", style.colour, x, y_of(p, last.mean));
}

/* What one panel shows. */
typedef struct {
    size_t start, granularity, width;
} view;

static void draw_view(FILE *svg, const panel *p, const results *measured, view of) {
    const summary goal = summarize_last(measured->full_precision, measured->seeds);
    draw_level(svg, p, goal.mean, FLOAT_STYLE);
    for (size_t m = 0; m < METHOD_COUNT; m++) {
        const curve *curves = measured->quantized[of.start][of.granularity][m][of.width];
        const summary last = summarize_last(curves, measured->seeds);
        if (METHOD[m].trains) {
            draw_curve(svg, p, curves, measured->seeds, METHOD_STYLE[m]);
        } else if (of.start == FINE_TUNED) {
            draw_level(svg, p, last.mean, METHOD_STYLE[m]);
        } else {
            continue;
        }
        draw_spread(svg, p, last, m, METHOD_STYLE[m]);
    }
}

/* ---- the page ---- */

static void draw_legend_entry(FILE *svg, size_t position, const char *name, line_style style) {
    static const int COLUMN[] = {0, 234, 574};
    double x = MARGIN_LEFT + COLUMN[position / 3];
    double y = 90.0 + 24.0 * (double)(position % 3);
    fprintf(svg, "<path d=\"M%.1f %.1fh30", x, y);
    end_path(svg, style);
    fprintf(svg, "<text class=\"legend\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", x + 38, y + 4, name);
}

static void draw_head(FILE *svg, const results *measured) {
    fprintf(svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\" "
            "font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\">\n"
            "<title>Test accuracy of float and few-bit weights while they train</title>\n"
            "<style>.title{font-size:20px;font-weight:bold}.note{font-size:13px;fill:#555}"
            ".panel{font-size:14px;font-weight:bold}.tick{font-size:12px;fill:#444}.legend{font-size:13px}"
            ".grid{stroke:#E3E3E3;fill:none}.axis{stroke:#444;fill:none}</style>\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
            PAGE_WIDTH, PAGE_HEIGHT, PAGE_WIDTH, PAGE_HEIGHT);
    fprintf(svg, "<text class=\"title\" x=\"%d\" y=\"36\">Handwritten digits with few-bit weights</text>\n",
            MARGIN_LEFT);
    fprintf(svg,
            "<text class=\"note\" x=\"%d\" y=\"60\">MLP 64-32-32-10, images held out; line: mean of %zu seed%s; "
            "dot and bar: last epoch, one standard deviation; axis: logarithm of the error</text>\n",
            MARGIN_LEFT, measured->seeds, measured->seeds == 1 ? "" : "s");
    draw_legend_entry(svg, 0, "float, after its last epoch", FLOAT_STYLE);
    for (size_t m = 0; m < METHOD_COUNT; m++) {
        draw_legend_entry(svg, m + 1, METHOD[m].long_name, METHOD_STYLE[m]);
    }
}

static void draw_axis_names(FILE *svg) {
    double bottom = PANELS_TOP + 2 * PANEL_HEIGHT + PANEL_GAP_Y, middle = (PANELS_TOP + bottom) / 2;
    for (size_t column = 0; column < 2; column++) {
        double x = MARGIN_LEFT + (double)column * (PANEL_WIDTH + PANEL_GAP_X) + PLOT_WIDTH / 2.0;
        fprintf(svg, "<text class=\"legend\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">epoch</text>\n", x,
                bottom + 42);
    }
    fprintf(svg, "<text class=\"legend\" transform=\"translate(34 %.1f) rotate(-90)\" text-anchor=\"middle\">"
                 "test accuracy (%%)</text>\n", middle);
}

/* Rows of panels, one column for each granularity: fine-tuning at 3 and 2 bits, or, where it was measured, training at 2
 * bits from both starts. */
static void draw_page(FILE *svg, const results *measured) {
    static const char *const START[] = {"from the float network", "from random weights"};
    static const char *const GRANULARITY[] = {"a scale per tensor", "a scale per channel"};
    draw_head(svg, measured);
    draw_axis_names(svg);
    for (size_t i = 0; i < 4; i++) {
        view of = {.granularity = i % 2, .width = TWO_BITS - (i < 2)};
        if (measured->from_scratch) {
            of = (view){.start = i / 2, .granularity = i % 2, .width = TWO_BITS};
        }
        char title[80];
        double left = MARGIN_LEFT + (double)(i % 2) * (PANEL_WIDTH + PANEL_GAP_X);
        double top = PANELS_TOP + (double)(i / 2) * (PANEL_HEIGHT + PANEL_GAP_Y);
        panel p = {left, top, measured->quantized[of.start][of.granularity][QAT_STE][of.width][0].epochs};
        snprintf(title, sizeof title, "%u bits, %s, %s", (unsigned)WIDTH[of.width], GRANULARITY[of.granularity],
                 START[of.start]);
        draw_axes(svg, &p, title);
        fprintf(svg, "<svg class=\"clip\" x=\"0\" y=\"%.1f\" width=\"%d\" height=\"%d\" viewBox=\"0 %.1f %d %d\">\n",
                top, PAGE_WIDTH, PANEL_HEIGHT, top, PAGE_WIDTH, PANEL_HEIGHT); /* cuts off what leaves the panel */
        draw_view(svg, &p, measured, of);
        fputs("</svg>\n", svg);
    }
    fputs("</svg>\n", svg);
}

void chart_write(const results *measured, const char *path) {
    FILE *svg = fopen(path, "w");
    if (svg == NULL) {
        die("cannot open %s: %s", path, strerror(errno));
    }
    draw_page(svg, measured);
    bool failed = ferror(svg) != 0;
    if (fclose(svg) != 0 || failed) { /* a full disk may show only when the buffer is flushed */
        die("cannot write %s: %s", path, strerror(errno));
    }
}
