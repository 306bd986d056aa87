//! The use of a key as a chart: stacked bars, drawn on the server.
//!
//! The library writes colours as attributes, which the policy allows. They are names rather than colours here: the stylesheet
//! gives each the colour of the theme.

use harmony_workspace::usage::{Bucket, Usage};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::words;

const HEIGHT: u32 = 220;
/// The width of a chart beside the side bar, in pixels. It is drawn as wide as it is shown, so that its labels can be read.
pub(super) const DESK: u32 = 960;
/// The width of one on a phone.
pub(super) const PHONE: u32 = 352;
/// The room that a label needs.
const LABEL: i32 = 120;
const TEXT: RGBColor = RGBColor(0, 0, 1);
const LINE: RGBColor = RGBColor(0, 0, 2);
/// The library makes 12 of it.
const TEXT_PX: u32 = 15;
/// What is not to be drawn over: the numbers at the left, the days below.
const LEFT: i32 = 48;
const BELOW: i32 = 24;
const ABOVE: i32 = 12;

/// The name of an outcome's colour.
const fn colour(outcome: usize) -> RGBColor {
    RGBColor(0, 1, outcome as u8)
}

/// Hours or days.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    Hours,
    Days,
}

impl Range {
    pub(super) fn of(self, usage: &Usage) -> &[Bucket] {
        match self {
            Self::Hours => &usage.hours,
            Self::Days => &usage.days,
        }
    }

    pub(super) fn label(self, bucket: &Bucket) -> String {
        match self {
            Self::Hours => words::hour(bucket.start),
            Self::Days => words::day(bucket.start),
        }
    }
}

/// The chart, or nothing when nothing can be drawn.
pub(super) fn draw(buckets: &[Bucket], range: Range, width: u32) -> String {
    let mut svg = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut svg, (width, HEIGHT)).into_drawing_area();
        bars(&area, buckets, range).and_then(|()| area.present().map_err(|_| ()))
    };
    if drawn.is_err() { String::new() } else { svg }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn bars(area: &Area<'_>, buckets: &[Bucket], range: Range) -> Result<(), ()> {
    let most = nice(buckets.iter().map(Bucket::total).max().unwrap_or(0));
    let (width, height) = (width_of(area) - LEFT, HEIGHT.cast_signed() - BELOW - ABOVE);
    let count = i32::try_from(buckets.len()).unwrap_or(1).max(1);
    let apart = count.div_euclid(width / LABEL).max(1);
    let y = |requests: u64| {
        let share =
            i64::from(height) * i64::try_from(requests).unwrap_or(0) / i64::try_from(most).unwrap_or(1);
        ABOVE + height - i32::try_from(share).unwrap_or(height)
    };
    scale(area, most, y)?;
    for (place, bucket) in (0..).zip(buckets) {
        let left = LEFT + width * place / count;
        let right = (LEFT + width * (place + 1) / count - 2).max(left + 1);
        let mut below = 0;
        for (outcome, requests) in bucket.requests.iter().enumerate().filter(|(_, requests)| **requests > 0) {
            let bar = [(left, y(below + requests)), (right, y(below))];
            area.draw(&Rectangle::new(bar, colour(outcome).filled())).map_err(|_| ())?;
            below += requests;
        }
        if place % apart == 0 && place + apart / 2 < count {
            let style =
                ("sans-serif", TEXT_PX).into_font().color(&TEXT).pos(Pos::new(HPos::Left, VPos::Bottom));
            area.draw(&Text::new(range.label(bucket), (left, HEIGHT.cast_signed() - 4), style))
                .map_err(|_| ())?;
        }
    }
    Ok(())
}

fn width_of(area: &Area<'_>) -> i32 {
    area.dim_in_pixel().0.cast_signed()
}

/// Lines at nothing, half and most, with their numbers.
fn scale(area: &Area<'_>, most: u64, y: impl Fn(u64) -> i32) -> Result<(), ()> {
    for requests in [0, most / 2, most] {
        let at = y(requests);
        area.draw(&PathElement::new([(LEFT, at), (width_of(area), at)], LINE)).map_err(|_| ())?;
        let style = ("sans-serif", TEXT_PX).into_font().color(&TEXT).pos(Pos::new(HPos::Right, VPos::Center));
        let number = words::thousands(i64::try_from(requests).unwrap_or(i64::MAX));
        area.draw(&Text::new(number, (LEFT - 6, at), style)).map_err(|_| ())?;
    }
    Ok(())
}

/// The next number at or above that has one digit and zeros behind it, and a half.
fn nice(most: u64) -> u64 {
    let unit = 10_u64.pow(most.max(1).ilog10());
    let up = most.div_ceil(unit).max(1) * unit;
    if up < 2 { 2 } else { up + up % 2 }
}

#[cfg(test)]
mod tests {
    use harmony_access::Timestamp;

    use super::*;

    #[test]
    fn a_chart_has_a_bar_for_each_outcome_and_nothing_that_the_policy_forbids() {
        let bucket =
            |day: i64, requests| Bucket { start: Timestamp::from_millis(day * 86_400_000), requests };
        let svg = draw(&[bucket(1, [0; 6]), bucket(2, [5, 0, 0, 2, 0, 0])], Range::Days, DESK);
        assert_eq!(svg.matches("<rect").count(), 2, "{svg}");
        assert!(svg.contains("#000100") && svg.contains("#000103"), "{svg}");
        assert!(svg.contains("1970-01-02"), "{svg}");
        assert!(!svg.contains("style=") && !svg.contains("<script") && !svg.contains("href"), "{svg}");
    }

    #[test]
    fn the_scale_ends_at_a_round_number_that_can_be_halved() {
        assert_eq!([0, 1, 2, 3, 9, 10, 11, 99, 1_204].map(nice), [2, 2, 2, 4, 10, 10, 20, 100, 2_000]);
    }
}
