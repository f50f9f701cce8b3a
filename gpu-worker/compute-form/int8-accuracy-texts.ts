/**
 * What the two forms of a model are compared on, and what the int8 form's ranges are measured by: plain sentences of
 * many fields, alone and three together, because made-up tokens say nothing of how far a model's states reach. Written
 * for this purpose; a change of them changes int8 graphs, and so the builder's version.
 */
const sentences = [
  "The parcel arrived two days late and the box was torn.",
  "I absolutely love this little cafe by the river!",
  "Please reset my password, I cannot log in any more.",
  "The central bank raised interest rates by a quarter point on Thursday.",
  "Marie Curie was born in Warsaw and later worked in Paris.",
  "How do I cancel a subscription before the trial ends?",
  "The goalkeeper saved a penalty in the last minute of the match.",
  "Scientists found water ice in a crater near the Moon's south pole.",
  "Chop the onions, fry them in butter and add a pinch of salt.",
  "The defendant shall pay the costs of the proceedings.",
  "Patients with a high fever should drink enough and rest.",
  "def add(a, b): return a + b",
  "Shares of the carmaker fell 4.2 % after weak sales in China.",
  "This film was dull, far too long and badly acted.",
  "Rain is expected in the north, with wind from the west.",
  "Our flight from Berlin to Lisbon was cancelled without notice.",
  "The new phone has a brighter screen and a smaller battery.",
  "Who wrote the opera about the barber of Seville?",
  "He said nothing, closed the door and walked into the night.",
  "The committee approved the budget by nine votes to four.",
  "Honestly, the support team was rude and did not help at all.",
  "Photosynthesis turns light, water and carbon dioxide into sugar.",
  "My daughter starts school in September and is very excited.",
  "The bridge was built in 1883 and is 1,825 metres long.",
  "Refunds are made within fourteen days to the card you paid with.",
  "The server answers with status 503 when the queue is full.",
  "Voters in three states went to the polls on Sunday.",
  "The cat slept on the warm stones of the old wall.",
  "Great value for money, would buy again.",
  "Researchers at Stanford trained a model on ten million images.",
  "Turn left at the church and follow the road for two miles.",
  "Not bad, but I have had better pizza in Naples.",
] as const;

const longTexts = 16;

/** One after another from different fields, to about sixty tokens. */
function threeFrom(at: number): string {
  return [at, at + 7, at + 14].map((each) => sentences[each % sentences.length]).join(" ");
}

/** 48 texts. */
export const accuracyTexts: readonly string[] = [
  ...sentences,
  ...Array.from({ length: longTexts }, (_, at) => threeFrom(at * 2)),
];

/** What is asked of each text where a model answers questions. */
export const accuracyQuestion = "What is this about?";
