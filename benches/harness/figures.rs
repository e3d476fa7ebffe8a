//! The measured values, by figure, contestant and round.

/// The name of each figure, with its unit, and its value.
pub type Measured = Vec<(String, f64)>;

/// All figures of a run.
pub struct Figures {
    contestants: Vec<&'static str>,
    figures: Vec<Figure>,
    round: usize,
}

/// The values of one figure for all contestants.
pub struct Figure {
    pub name: String,
    /// The round and the value of each measurement, by contestant.
    values: Vec<Vec<(usize, f64)>>,
}

/// The median and the quartiles of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Figures {
    pub fn new(contestants: Vec<&'static str>) -> Self {
        Self {
            contestants,
            figures: Vec::new(),
            round: 0,
        }
    }

    pub fn begin_round(&mut self) {
        self.round += 1;
    }

    pub fn add(&mut self, contestant: usize, measured: Measured) {
        for (name, value) in measured {
            let round = self.round;
            self.figure_mut(name).values[contestant].push((round, value));
        }
    }

    pub fn contestants(&self) -> &[&'static str] {
        &self.contestants
    }

    pub fn figures(&self) -> &[Figure] {
        &self.figures
    }

    pub fn of_unit(&self, unit: &str) -> impl Iterator<Item = &Figure> {
        let is_of_unit = move |figure: &&Figure| figure.name.rsplit(' ').next() == Some(unit);
        self.figures.iter().filter(is_of_unit)
    }

    pub fn named(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.name == name)
    }

    pub fn number_of(&self, contestant: &str) -> Option<usize> {
        self.contestants.iter().position(|name| *name == contestant)
    }

    fn figure_mut(&mut self, name: String) -> &mut Figure {
        let known = self.figures.iter().position(|figure| figure.name == name);
        let number = known.unwrap_or_else(|| {
            let values = vec![Vec::new(); self.contestants.len()];
            self.figures.push(Figure { name, values });
            self.figures.len() - 1
        });
        &mut self.figures[number]
    }
}

impl Figure {
    /// Returns the name without the unit.
    pub fn subject(&self) -> &str {
        self.name
            .rsplit_once(' ')
            .map_or(&*self.name, |(subject, _)| subject)
    }

    /// Returns the values of a contestant, in the order of the rounds.
    pub fn values(&self, contestant: usize) -> Vec<f64> {
        self.values[contestant]
            .iter()
            .map(|&(_, value)| value)
            .collect()
    }

    pub fn spread(&self, contestant: usize) -> Option<Spread> {
        Spread::of(self.values(contestant))
    }

    /// Returns the ratios of two contestants' values, paired by round.
    pub fn ratio(&self, of: usize, to: usize) -> Option<Spread> {
        Self::ratio_of((self, of), (self, to))
    }

    /// Returns the ratios of values of two figures of one scenario, paired by round.
    pub fn ratio_of(of: (&Self, usize), to: (&Self, usize)) -> Option<Spread> {
        let (of, to) = (&of.0.values[of.1], &to.0.values[to.1]);
        let ratios = of.iter().filter_map(|&(round, value)| {
            let (_, other) = to.iter().find(|&&(other, _)| other == round)?;
            // Zero is a time shorter than the clock's resolution.
            (*other > 0.0).then(|| value / other)
        });
        Spread::of(ratios.collect())
    }
}

impl Spread {
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let place = part * (values.len() - 1) as f64;
            let (below, above) = (
                values[place.floor() as usize],
                values[place.ceil() as usize],
            );
            below + (above - below) * place.fract()
        };
        (!values.is_empty()).then(|| Self {
            low: at(0.25),
            median: at(0.5),
            high: at(0.75),
        })
    }
}

/// Our server.
pub const OWN: &str = "oneloop";
/// Our server as its own control.
pub const CONTROL: &str = "oneloop (again)";
