//! Where the nodes of a layered drawing go.
//!
//! In: how many nodes, and their covers. Out: a layer for each node and a place within it, with a bend
//! in every layer that an edge passes. Invariant: an edge leads from a lower to a higher layer.

/// How often the order within the layers is swept up and down.
const SWEEPS: usize = 8;

/// The layer of each node: the length of the longest path up to it from below. `None` when the covers
/// run in a circle.
pub(super) fn layers(nodes: usize, covers: &[(usize, usize)]) -> Option<Vec<usize>> {
    let mut waiting = vec![0_usize; nodes];
    for &(_, upper) in covers {
        waiting[upper] += 1;
    }
    let mut layers = vec![0; nodes];
    let mut ready: Vec<usize> = (0..nodes).filter(|&i| waiting[i] == 0).collect();
    let mut placed = 0;
    while let Some(node) = ready.pop() {
        placed += 1;
        for &(_, upper) in covers.iter().filter(|&&(lower, _)| lower == node) {
            layers[upper] = layers[upper].max(layers[node] + 1);
            waiting[upper] -= 1;
            if waiting[upper] == 0 {
                ready.push(upper);
            }
        }
    }
    (placed == nodes).then_some(layers)
}

/// A placed drawing.
pub(super) struct Layout {
    /// The layer and the place within it, for each node and then for each bend.
    pub(super) places: Vec<(usize, usize)>,
    /// How many places each layer has, lowest first.
    pub(super) widths: Vec<usize>,
    /// For each cover the places that its edge visits, lower end first.
    pub(super) paths: Vec<Vec<usize>>,
}

/// Places the nodes: within each layer by the mean place of their neighbours in the layer before, swept
/// up and down a fixed number of times. Ties keep their order, so equal input gives equal places.
pub(super) fn place(layers: &[usize], covers: &[(usize, usize)]) -> Layout {
    let mut layer_of = layers.to_vec();
    let mut paths = Vec::with_capacity(covers.len());
    for &(lower, upper) in covers {
        let mut path = vec![lower];
        for layer in layers[lower] + 1..layers[upper] {
            path.push(layer_of.len());
            layer_of.push(layer);
        }
        path.push(upper);
        paths.push(path);
    }
    let height = layer_of.iter().max().map_or(0, |&top| top + 1);
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); height];
    for (item, &layer) in layer_of.iter().enumerate() {
        rows[layer].push(item);
    }
    let mut below = vec![Vec::new(); layer_of.len()];
    let mut above = vec![Vec::new(); layer_of.len()];
    for step in paths.iter().flat_map(|path| path.windows(2)) {
        if let [lower, upper] = *step {
            above[lower].push(upper);
            below[upper].push(lower);
        }
    }
    let mut offset = vec![0.0_f64; layer_of.len()];
    let settle = |row: &[usize], offset: &mut Vec<f64>| {
        for (place, &item) in row.iter().enumerate() {
            offset[item] = place as f64 - (row.len() as f64 - 1.0) / 2.0;
        }
    };
    rows.iter().for_each(|row| settle(row, &mut offset));
    for sweep in 0..SWEEPS {
        let upwards = sweep % 2 == 0;
        let neighbours = if upwards { &below } else { &above };
        for step in 0..height {
            let row = &mut rows[if upwards { step } else { height - 1 - step }];
            let mean = |item: usize| {
                let near = &neighbours[item];
                if near.is_empty() {
                    offset[item]
                } else {
                    near.iter().map(|&n| offset[n]).sum::<f64>() / near.len() as f64
                }
            };
            row.sort_by(|&a, &b| mean(a).total_cmp(&mean(b)));
            settle(row, &mut offset);
        }
    }
    let mut places = vec![(0, 0); layer_of.len()];
    for (layer, row) in rows.iter().enumerate() {
        for (place, &item) in row.iter().enumerate() {
            places[item] = (layer, place);
        }
    }
    Layout { places, widths: rows.iter().map(Vec::len).collect(), paths }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_beside_a_shortcut() {
        let covers = [(0, 1), (1, 2), (0, 2)];
        let layers = layers(3, &covers).expect("an order");
        assert_eq!(layers, [0, 1, 2]);
        let layout = place(&layers, &covers);
        assert_eq!(layout.widths, [1, 2, 1]);
        assert_eq!(layout.paths, [vec![0, 1], vec![1, 2], vec![0, 3, 2]]);
    }
}
