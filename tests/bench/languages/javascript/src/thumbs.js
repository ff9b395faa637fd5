// The function that the benchmark calls in every language.

/** Counts numbers, and finds their mean and the largest of them. */
export function summarize(numbers) {
  const sum = numbers.reduce((sum, number) => sum + number, 0);
  return { count: numbers.length, mean: sum / numbers.length, largest: Math.max(...numbers) };
}
